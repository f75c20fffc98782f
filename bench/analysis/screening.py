"""Screen arms that fresh pairs will judge: which to confirm, which to leave, after few pairs. Pure.

No error is promised of what is chosen here: only what is confirmed is called a win. The spread of
an arm's few pairs is steadied by that of all arms whose trials are of its kind, and, from the first
pair on, by what the baseline's trials of one round differ by.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from bench.analysis.aims import excess_of_pairs, sought_by
from bench.analysis.estimate import Values
from bench.analysis.evidence import Evidence, evidence_of
from bench.analysis.moderated import UNKNOWN, Bounds, Spread, first_known, steadied
from bench.analysis.objectives import TIME, Basis, Gain, Value, basis_of, cpu_of
from bench.analysis.objectives import Objective as Row
from bench.analysis.pairs import again, by_arm, pairs_made, ratios, tells, unlike, whole
from bench.analysis.results import Aims
from bench.analysis.sequential import WORTH, WORTH_FINDING, Objective
from bench.baseline import Target
from bench.records.measurement import BASELINE, CONTROL, Measurement

FIRST, MOST = 1, 6
"""Pairs of an arm at the first look, and at the last."""
HALF = 0.5
"""Of the margin, that the metric of one pair alone may fall by."""
Looks = tuple[int, int]
LOOKS: Looks = (FIRST, MOST)
NO_GAIN = f"a gain of {100 * (WORTH_FINDING - 1):.0f} % is not likely"
LOSES = "a loss of the metric beyond the margin is likely"
SLOWER = "it is likely slower by 5 %, others are faster, and no other gain is likely"
FAILED, WORSE, OVER = (
    "a training of it had failed", "its metric had lost more than it may", "it was over a limit"
)  # fmt: skip
"""What forbids to choose an arm, however much it gains."""
HOPED = f"by over {100 * (WORTH_FINDING - 1):.0f} % in the mean of its pairs, which may be chance"


class Standing(StrEnum):
    """What a screening makes of an arm."""

    OPEN = "open"
    CHOSEN = "chosen"
    LEFT = "left"


class Screened(NamedTuple):
    """An arm as it stands, after how many pairs, and in what it is likely to gain."""

    standing: Standing
    pairs: int
    gains: tuple[Gain, ...] = ()
    why: str = ""
    """It is left; or chosen, though no gain is likely."""
    worth: bool = False
    """Whether one of its gains is likely one that is worth finding."""


class Own(NamedTuple):
    """What one arm's pairs say, and what its time is taken from."""

    basis: Basis
    found: Evidence
    equal: Mapping[str, Sequence[Values]] = MappingProxyType({})
    """By objective the logarithms of what the baseline's trials of one round give, round by round:
    they differ by chance alone."""
    cpu: Sequence[float] = ()
    """Ratios of CPU seconds an item, baseline / candidate: what a burst beside a trial spares."""
    over: Sequence[bool] = ()
    """After each pair, whether the median of those so far is over a limit: that can't be had."""
    lost: int = 0
    """Pairs beside these that were made, and tell nothing: their baseline failed."""


class Every:
    """All arms: how far what they have of one kind spreads, worked out once for all of them."""

    def __init__(self, arms: Collection[Own]) -> None:
        self._arms = arms
        self._known: dict[tuple[Basis, str | None, int], Spread] = {}

    def spread(self, basis: Basis, of: str | None, count: int) -> Spread:
        """Return that of the first pairs in one objective; None: in the metric."""
        if (key := (basis, of, count)) not in self._known:
            own = [arm.found for arm in self._arms if arm.basis == basis]
            if of is None:
                values = [found.quality.differences for found in own]
            else:
                values = [one.logs for found in own for one in found.objectives if one.name == of]
            self._known[key] = Spread.of(first_known(each, count) for each in values)
        return self._known[key]


def screen(arms: Mapping[str, Own], first: int, most: int) -> dict[str, Screened]:
    """Return where each arm stands after all its pairs; the A/A control may be among them.

    What one look has decided stays: each takes no more pairs of the others than of the arm. From
    the look on at which one is chosen that is faster, what is likely slower is not waited for: it
    would be neither combined nor exported.
    """
    every = Every(arms.values())
    alone = {name: _stands(own, every, first, most) for name, own in arms.items()}
    quick = [one.pairs for one in alone.values() if TIME.gain in one.gains]
    if not quick:
        return alone
    return {name: _stands(own, every, first, most, min(quick)) for name, own in arms.items()}


def _stands(own: Own, every: Every, first: int, most: int, quick: float = math.inf) -> Screened:
    """Return where an arm stands; another is chosen as faster after `quick` pairs."""
    pairs = len(own.found.failed)
    for count in range(first, min(most, pairs) + 1):
        seen = _look(own, every, count, most, rivalled=count >= quick)
        if seen.standing is not Standing.OPEN:
            return seen
    if pairs < most <= pairs + own.lost:  # no more are made
        return _look(own, every, pairs, pairs, rivalled=pairs >= quick)
    return Screened(Standing.OPEN, pairs)


def _look(own: Own, every: Every, count: int, most: int, rivalled: bool) -> Screened:
    """Look at the first `count` pairs of an arm; after `most` of them nothing is left open.

    It is left as soon as the mean of all its pairs, with those to come, hardly gets to what is
    worth finding.
    """
    last, found, quality = count == most, own.found, own.found.quality
    agrees = bool(quality.agreed(count))
    alike = every.spread(own.basis, None, count)
    metric = steadied(quality.differences, quality.floor, alike, count)
    if not agrees and metric.high < -quality.margin:
        return Screened(Standing.LEFT, count, why=LOSES)
    unfit = _unfit(own, metric, agrees, count)
    both = zip(found.rows, found.objectives, strict=True)
    seen = [(row, one, _of(one, own, every, count)) for row, one in both if one.wanted]
    likely = tuple(row.gain for row, one, at in seen if _is_likely(row, one, at, count))
    if likely and not unfit:
        worth = any(at.low > one.worth for _, one, at in seen)
        return Screened(Standing.CHOSEN, count, likely, worth=worth)
    sure = count > 1 or any(ratio < 1 / WORTH_FINDING for ratio in own.cpu[:1])
    slower = any(row is TIME and at.high < -WORTH for row, _, at in seen)
    if rivalled and slower and sure:
        return Screened(Standing.LEFT, count, why=SLOWER)
    hoped = tuple(row.gain for row, one, at in seen if at.middle > one.worth)
    if last and hoped and not unfit:
        return Screened(Standing.CHOSEN, count, hoped, why=HOPED)
    none = sure and all(_in_the_end(at, count, most) < one.worth for _, one, at in seen)
    if not none and not last:
        return Screened(Standing.OPEN, count)
    why = _nothing([(row, at) for row, _, at in seen])
    return Screened(Standing.LEFT, count, why=f"{', '.join(hoped)}, but {unfit}" if hoped else why)


def _unfit(own: Own, metric: Bounds, agrees: bool, count: int) -> str:
    """Say what forbids to choose an arm after so many pairs, however much it gains."""
    if own.found.failed[:count].any():
        return FAILED
    least = -own.found.quality.margin * (HALF if count == 1 else 1.0)
    if not agrees and metric.middle < least:
        return WORSE
    return OVER if own.over and own.over[count - 1] else ""


def _nothing(seen: Sequence[tuple[Row, Bounds]]) -> str:
    """Say why nothing is hoped of an arm: of what no pair knows no gain is unlikely."""
    unknown = [row.name for row, at in seen if math.isnan(at.middle)]
    return f"its {' and '.join(unknown)} is not known" if unknown else NO_GAIN


def _in_the_end(at: Bounds, count: int, most: int) -> float:
    """Return what the mean of all pairs that there may be is likely below.

    It lies about the mean so far, the nearer the fewer are to come: of `most` values, of which
    `count` are known, the mean spreads by sqrt(1 - count / most) of what that of `count` does.
    """
    return at.middle + (at.high - at.middle) * math.sqrt(1 - count / most)


def _is_likely(row: Row, one: Objective, at: Bounds, count: int) -> bool:
    """Tell whether a gain is; one pair tells it of time alone, where it is well worth finding."""
    return at.low > one.worth and row is TIME if count == 1 else at.low > one.least


def _of(one: Objective, own: Own, every: Every, count: int) -> Bounds:
    """Return the bounds of one objective; of what is deterministic, the least and the most."""
    if one.deterministic:
        known = first_known(one.logs, count)
        return Bounds(*np.quantile(known, [0.0, 0.5, 1.0])) if known.size else UNKNOWN
    alike = every.spread(own.basis, one.name, count)
    equal = [*own.equal.get(one.name, ())][:count]
    return steadied(one.logs, one.floor, alike, count, equal)


def screened(
    trials: Sequence[Measurement], margin: float, target: Target, aims: Aims, looks: Looks | None
) -> dict[str, Screened]:
    """Return where each arm of a run's first stage stands; none where a run has no such looks."""
    if looks is None:
        return {}
    own = sorted((t for t in trials if t.stage == "test"), key=lambda trial: trial.pair)
    apart = unlike(again(own, screening=True))
    arms, known = dict[str, Own](), dict[tuple[str, Basis, str], list[Values]]()
    sought = sought_by(trials, aims)
    for arm, each in by_arm(own).items():
        made = pairs_made(each, arm)
        pairs = list(filter(tells, made))
        if good := whole(pairs):
            basis = basis_of(good[0][1])
            found = evidence_of(pairs, basis, margin, apart, target, sought)
            kind = good[0][1].kind
            for row in found.rows:
                if (key := (kind, basis, row.name)) not in known:
                    known[key] = equal_trials(own, kind, row.value(basis))
            equal = {row.name: known[kind, basis, row.name] for row in found.rows}
            firsts = [pairs[: index + 1] for index in range(len(pairs))]
            over = [excess_of_pairs(first, aims) is not None for first in firsts]
            cpu, lost = ratios(pairs[:1], cpu_of), len(made) - len(pairs)
            arms[arm] = Own(basis, found, equal, cpu, over, lost)
    return screen(arms, *looks)


def equal_trials(trials: Iterable[Measurement], kind: str, value: Value) -> list[Values]:
    """Return the logarithms of what the baseline's trials of one kind give, round by round."""
    equal = [t for t in trials if t.arm in (BASELINE, CONTROL) and t.kind == kind]
    return by_round(equal, value)


def by_round(trials: Iterable[Measurement], value: Value) -> list[Values]:
    """Return the logarithms of what trials give, round by round."""
    rounds: dict[tuple[str, int], list[Measurement]] = {}
    for trial in trials:
        if trial.ok:
            rounds.setdefault((trial.stage, trial.seed), []).append(trial)
    return [_logs(map(value, each)) for each in rounds.values()]


def _logs(values: Iterable[float | None]) -> Values:
    known = [value for value in values if value is not None and value > 0]
    return np.asarray(np.log(np.array(known, float)), float)
