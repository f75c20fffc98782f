"""Screen arms that fresh pairs will judge: which to confirm, which to leave, after few pairs. Pure.

No error is promised of what is chosen here: only what is confirmed is called a win. So the spread
of an arm's few pairs is steadied by that of all arms whose trials are of its kind: it counts as
much as its own pairs, that of the others as `PRIOR` more.
Source: Smyth, Linear models and empirical Bayes methods, 2004 (the moderated t).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.analysis.estimate import Values
from bench.analysis.evidence import Evidence, evidence_of
from bench.analysis.objectives import Basis, Gain, basis_of
from bench.analysis.pairs import by_arm, matched, unlike, whole
from bench.analysis.results import Aims, ArmResult
from bench.analysis.sequential import WORTH_FINDING, Objective
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from bench.records.measurement import CONTROL, Measurement

FIRST, MOST = 2, 6
"""Pairs of an arm at the first look, and at the last."""
LEFT_SURE, CHOSEN_SURE = 0.9, 0.95
"""How sure the bounds are, one-sided, by which an arm is left, or chosen."""
PRIOR = 4.0
"""Degrees of freedom that the spread of the other arms counts for."""
Looks = tuple[int, int]


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
    loses: bool = False
    """Whether it is left because it is likely to lose more of the metric than the margin."""


class Own(NamedTuple):
    """What one arm's pairs say, and what its time is taken from."""

    basis: Basis
    found: Evidence


class Bounds(NamedTuple):
    """What a mean is likely to lie between."""

    low: float
    middle: float
    high: float


UNKNOWN = Bounds(-math.inf, math.nan, math.inf)


def screen(arms: Mapping[str, Own], first: int, most: int) -> dict[str, Screened]:
    """Return where each arm stands after all its pairs; the A/A control may be among them.

    What one look has decided stays: each takes no more pairs of the others than of the arm.
    """
    return {name: _stands(own, arms.values(), first, most) for name, own in arms.items()}


def _stands(own: Own, every: Collection[Own], first: int, most: int) -> Screened:
    pairs = len(own.found.failed)
    for count in range(first, min(most, pairs) + 1):
        seen = _look(own, every, count, last=count == most)
        if seen.standing is not Standing.OPEN:
            return seen
    return Screened(Standing.OPEN, pairs)


def _look(own: Own, every: Collection[Own], count: int, last: bool) -> Screened:
    """Look at the first `count` pairs of an arm; the last look leaves nothing open."""
    found, quality = own.found, own.found.quality
    agrees = quality.agree is not None and bool(quality.agree[:count].all())
    metric = steadied(quality.differences, quality.floor, _metrics(own, every), count)
    if not agrees and metric.high < -quality.margin:
        return Screened(Standing.LEFT, count, loses=True)
    fit = not found.failed[:count].any() and (agrees or not metric.middle < -quality.margin)
    seen = [
        (row.gain, one, _of(one, own, every, count))
        for row, one in zip(found.rows, found.objectives, strict=True)
    ]
    likely = tuple(gain for gain, one, at in seen if at.low > one.least)
    if fit and likely:
        return Screened(Standing.CHOSEN, count, likely)
    hoped = tuple(gain for gain, one, at in seen if at.middle > one.worth)
    if last and fit and hoped:
        return Screened(Standing.CHOSEN, count, hoped)
    none = all(at.high < one.worth for _, one, at in seen)
    return Screened(Standing.LEFT if none or last else Standing.OPEN, count)


def _of(one: Objective, own: Own, every: Iterable[Own], count: int) -> Bounds:
    """Return the bounds of one objective; of what is deterministic, the least and the most."""
    if one.deterministic:
        known = _known(one.logs, count)
        return Bounds(*np.quantile(known, [0.0, 0.5, 1.0])) if known.size else UNKNOWN
    alike = [
        other.logs
        for each in every
        for other in each.found.objectives
        if other.name == one.name and each.basis == own.basis
    ]
    return steadied(one.logs, one.floor, alike, count)


def _metrics(own: Own, every: Iterable[Own]) -> list[Values]:
    return [each.found.quality.differences for each in every if each.basis == own.basis]


def steadied(values: Values, floor: float, alike: Iterable[Values], count: int) -> Bounds:
    """Return the mean of the first values, with bounds by their spread and that of those alike."""
    from scipy.special import stdtrit

    known = _known(values, count)
    if not known.size:
        return UNKNOWN
    own, freedom = _variance(known), known.size - 1
    usual = _usual_variance(other for each in alike if (other := _known(each, count)).size > 1)
    if usual is None:
        return UNKNOWN._replace(middle=float(known.mean()))
    variance = max((PRIOR * usual + freedom * own) / (PRIOR + freedom), floor**2)
    error, middle = math.sqrt(variance / known.size), float(known.mean())
    below, above = (error * float(stdtrit(PRIOR + freedom, s)) for s in (CHOSEN_SURE, LEFT_SURE))
    return Bounds(middle - below, middle, middle + above)


def _usual_variance(samples: Iterable[Values]) -> float | None:
    """Return the median of variances, each as a multiple of what is its median where it is 1."""
    from scipy.special import gammaincinv

    found = [_variance(one) * half / float(gammaincinv(half, 0.5)) for one in samples
             if (half := (one.size - 1) / 2)]  # fmt: skip
    return median(found) if found else None


def _variance(known: Values) -> float:
    return float(known.var(ddof=1)) if known.size > 1 else 0.0


def _known(values: Values, count: int) -> Values:
    first = values[:count]
    return np.asarray(first[np.isfinite(first)])


def screened(
    trials: Sequence[Measurement], margin: float, target: Target, aims: Aims, looks: Looks | None
) -> dict[str, Screened]:
    """Return where each arm of a run's first stage stands; none where a run has no such looks."""
    if looks is None:
        return {}
    own = [trial for trial in trials if trial.stage == "test"]
    apart = unlike(matched(own, CONTROL))
    arms = {}
    for arm in by_arm(own):
        pairs = matched(own, arm)
        if good := whole(pairs):
            basis = basis_of(good[0][1])
            found = evidence_of(pairs, basis, margin, apart, target, aims.counts)
            arms[arm] = Own(basis, found)
    return screen(arms, *looks)


def after_screening(result: ArmResult, seen: Screened | None) -> ArmResult:
    """Return the result of an arm that no fresh pairs have judged, as what its screening says.

    What would be a win is chosen, and so is what is likely to be one; what is unlikely to be is
    left. What the pairs have shown otherwise stays.
    """
    if result.confirmed:
        return result
    if result.verdict is Verdict.WIN:
        return result.model_copy(update={"verdict": Verdict.SCREENED})
    if result.verdict is not Verdict.UNDECIDED or seen is None or seen.standing is Standing.OPEN:
        return result
    over = {"goes_on": False, "more_pairs": None, "needed_margin": None}
    if seen.standing is Standing.CHOSEN:
        said = f"likely {', '.join(seen.gains)}: fresh pairs tell"
        chosen = {"verdict": Verdict.SCREENED, "gains": seen.gains, "reason": said}
        return result.model_copy(update=over | chosen)
    what = "a loss of the metric beyond the margin is likely"
    if not seen.loses:
        what = f"a gain of {100 * (WORTH_FINDING - 1):.0f} % is not likely"
    left = {"verdict": Verdict.UNLIKELY, "reason": f"{what} after {seen.pairs} pairs"}
    return result.model_copy(update=over | left)
