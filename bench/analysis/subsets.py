"""What the subsets of a combination gain: which trials of a run tell it, and by how much. Pure.

What one stage has measured tells the next: trials of a combination and of its parts are taken from
wherever they ran beside the baseline, as long as their techniques have the settings of the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.analysis.objectives import LogRatio
from bench.records.measurement import BASELINE, Measurement, Purpose

Subset = frozenset[str]
Gains = Mapping[Subset, float]
"""Of one round: log(baseline / candidate) of each subset that was measured; of none it is 0."""
TELLING = frozenset[Purpose]({"combine", "confirm", "attribute"})
"""Stages whose trials tell what is combined; what the screening chose by is left out, as luck
helped it to choose."""


class Gained(NamedTuple):
    """What one pair says: log(baseline / candidate) of a subset, and the pair's number."""

    subset: Subset
    log: float
    pair: int


def techniques_of(trial: Measurement) -> tuple[str, ...]:
    """Return the techniques of a trial's recipe, in order."""
    return tuple(use["name"] for use in trial.recipe["techniques"])


def largest(trials: Sequence[Measurement]) -> Measurement:
    """Return a trial of the combination of the most techniques."""
    return max(trials, key=lambda trial: len(techniques_of(trial)))


def taken_apart(trials: Sequence[Measurement], winner: str | None) -> list[Measurement]:
    """Return the trials that tell what the parts of a run's combination gain; none: it has none.

    The combination is what won, or what was taken apart though nothing won.
    """
    side = [t for t in trials if t.stage in ("combine", "attribute") and t.arm != BASELINE and t.ok]
    wholes = [t for t in trials if t.stage == "confirm" and t.arm == winner and t.ok]
    wholes = wholes or [t for t in side if t.stage == "attribute"]
    if not side or not wholes:
        return []
    return told_of(trials, largest(wholes).recipe["techniques"], side[-1].kind)


def told_of(
    trials: Iterable[Measurement], techniques: Sequence[object], kind: str
) -> list[Measurement]:
    """Return the trials that tell what parts of a combination gain, with those of the baseline.

    `techniques` are those of its recipe, as they stand in records, and `kind` is that of trials.
    """
    own = [t for t in trials if t.stage in TELLING and t.kind == kind and t.ok]
    return [
        trial
        for trial in own
        if trial.arm == BASELINE
        or ((uses := trial.recipe["techniques"]) and all(use in techniques for use in uses))
    ]  # fmt: skip


def gained_in(trials: Iterable[Measurement], ratio: LogRatio) -> list[Gained]:
    """Return what each pair says; a trial is compared with the baseline of its block."""
    return [
        Gained(frozenset(techniques_of(trial)), gain, trial.pair)
        for trial, gain in _compared(trials, ratio)
    ]


def pairs_known(trials: Iterable[Measurement]) -> Counter[Subset]:
    """Return how many pairs of each subset say something: none does whose baseline was lost."""
    return Counter(frozenset(techniques_of(trial)) for _, trial in _beside(trials))


def gains_by_round(trials: Iterable[Measurement], ratio: LogRatio) -> list[Gains]:
    """Return log(baseline / candidate) of each subset of techniques, round by round.

    A round is what has one seed; each trial is compared with the baseline of its block.
    """
    found: dict[int, dict[Subset, float]] = {}
    for trial, gain in _compared(trials, ratio):
        found.setdefault(trial.seed, {})[frozenset(techniques_of(trial))] = gain
    return list(found.values())


def _compared(trials: Iterable[Measurement], ratio: LogRatio) -> list[tuple[Measurement, float]]:
    both = ((trial, ratio(baseline, trial)) for baseline, trial in _beside(trials))
    return [(trial, gain) for trial, gain in both if gain is not None]


def _beside(trials: Iterable[Measurement]) -> list[tuple[Measurement, Measurement]]:
    """Return each trial that ended well, after the baseline of its block, if that did too."""
    own = [trial for trial in trials if trial.ok]
    baselines = {trial.pair: trial for trial in own if trial.arm == BASELINE}
    return [
        (baselines[trial.pair], trial)
        for trial in own
        if trial.arm != BASELINE and trial.pair in baselines
    ]
