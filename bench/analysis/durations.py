"""How long trials took: an arm's pairs, and each trial beside others of its kind."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

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
