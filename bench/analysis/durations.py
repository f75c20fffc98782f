"""How long trials took, and from that how long others will take."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from bench.analysis.figures import middle
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


def pace(trials: Sequence[Measurement]) -> list[float | None]:
    """Return each trial's seconds an item beside the median of its arm's; None where unknown."""
    arms: dict[str, list[Measurement]] = {}
    for trial in trials:
        arms.setdefault(trial.arm, []).append(trial)
    usual = {arm: middle(own, lambda m: m.seconds_per_item) for arm, own in arms.items()}
    return [
        trial.seconds_per_item / own
        if trial.seconds_per_item and (own := usual[trial.arm])
        else None
        for trial in trials
    ]


def left_seconds(finished: Iterable[Measurement], coming: Iterable[str]) -> float | None:
    """Return how long the trials of these arms will take, by the median of each arm's so far.

    An arm without a trial takes the median of all; None before the first.
    """
    own: dict[str, list[float]] = {}
    for trial in finished:
        if trial.wall_seconds is not None:
            own.setdefault(trial.arm, []).append(trial.wall_seconds)
    if not own:
        return None
    usual = median(seconds for spent in own.values() for seconds in spent)
    return math.fsum(median(own[arm]) if arm in own else usual for arm in coming)
