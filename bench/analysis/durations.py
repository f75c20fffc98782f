"""How long trials took: an arm's pairs, and each trial beside others of its kind."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from statistics import fmean

from bench.analysis.figures import middle
from bench.analysis.subsets import Subset, techniques_of
from bench.records.measurement import BASELINE, Measurement


def pair_seconds(trials: Sequence[Measurement]) -> dict[str, float]:
    """Return the mean wall seconds of each arm's pairs, with its share of the baseline's trials."""
    sharing = Counter(trial.pair for trial in trials if trial.arm != BASELINE)
    own: dict[str, dict[int, float]] = {}
    shares: dict[int, list[float]] = {}
    for trial in trials:
        seconds = trial.wall_seconds or 0.0
        if trial.arm != BASELINE:
            own.setdefault(trial.arm, {})[trial.pair] = seconds
        elif sharing[trial.pair]:
            shares.setdefault(trial.pair, []).append(seconds / sharing[trial.pair])
    return {
        arm: math.fsum([*spent.values(), *(s for pair in spent for s in shares.get(pair, ()))])
        / len(spent)
        for arm, spent in own.items()
    }


def likely_seconds(trials: Sequence[Measurement], techniques: Collection[str], kind: str) -> float:
    """Return what a trial of techniques together likely takes, by the trials so far of its kind.

    What its like took, or else, of the baseline's time, what is left by the part that takes the
    most away, and as many times that as other parts make it longer; 0 where no trial tells.
    """
    taken: dict[Subset, list[float]] = {}
    for trial in trials:
        if trial.kind == kind and trial.wall_seconds is not None:
            taken.setdefault(frozenset(techniques_of(trial)), []).append(trial.wall_seconds)
    usual = {names: fmean(own) for names, own in taken.items()}
    if (asked := frozenset(techniques)) in usual:
        return usual[asked]
    baseline = usual.get(frozenset(), fmean(usual.values()) if usual else 0.0)
    parts = {names: own / baseline for names, own in usual.items() if names <= asked and baseline}
    longer = math.prod(max(1.0, part) for names, part in parts.items() if len(names) == 1)
    return baseline * min([1.0, *parts.values()]) * longer


def pace(trials: Sequence[Measurement]) -> list[float | None]:
    """Return each trial's seconds an item beside the median of its arm's; None where unknown.

    Of those of its kind: whole trainings, or steps alone.
    """
    alike: dict[tuple[str, str], list[Measurement]] = {}
    for trial in trials:
        alike.setdefault((trial.arm, trial.kind), []).append(trial)
    usual = {key: middle(own, lambda m: m.seconds_per_item) for key, own in alike.items()}
    return [
        trial.seconds_per_item / own
        if trial.seconds_per_item and (own := usual[trial.arm, trial.kind])
        else None
        for trial in trials
    ]
