"""By how much a metric is worse in one run than in another: seed by seed, as the margin counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.grid import floor_of
from bench.analysis.intervals import Interval, mean_interval
from bench.analysis.pairs import (
    ONE_SEED,
    Pair,
    distinct,
    gains,
    has_one_seed,
    pairs_of,
    with_metric,
)
from bench.analysis.ratio_of_ratios import by_seed, change, seed_means
from bench.baseline import Target
from bench.records.measurement import BASELINE, CONTROL, Measurement
from bench.records.text import amount

Values = list[tuple[int, float]]
"""Of each trial its seed and its metric; across machines, by how much that is better than the
baseline's beside it."""


class Fall(NamedTuple):
    """How much worse a metric is."""

    worse: Interval | None
    untold: str = ""
    """Why that can't be told, where it can't: what follows "can't be told"."""


def fall(
    old: Sequence[Measurement], new: Sequence[Measurement], arm: str, target: Target, level: float,
    beside_baseline: bool = False,
) -> Fall:  # fmt: skip
    """Return the fall of an arm's metric with one-sided bounds of `level`.

    Over the seeds of both, each counted once, and so are equal trainings; where they share fewer
    than two, over each run's own. Where margins are shares, it is a share of what the metric was:
    none is told of 0.
    """
    beside = [t for t in (*old, *new) if t.arm in (arm, BASELINE, CONTROL)]
    floor = floor_of(beside, target.relative, target.bounds)
    sides = [_told(own, arm, beside_baseline) for own in (old, new)]
    before, after = (_metrics(distinct(own), beside_baseline, target) for own in sides)
    untold = _untold(sides, len(dict(before)), len(dict(after)))
    paired = by_seed(before, after) if beside_baseline else by_seed(before, after, target.gain)
    falls = [-gain for gain in paired if not math.isnan(gain)]
    if len(falls) >= 2:
        return Fall(mean_interval(falls, 2 * level - 1, floor=floor))
    one, other = ([*seed_means(own).values()] for own in (before, after))
    if not beside_baseline:
        size = abs(math.fsum(one)) / len(one) if target.relative and one else 1.0
        if not size:
            few = min(len(one), len(other)) < 2
            return Fall(None, untold if few else ": it was 0, and limits are shares of it")
        sign = 1 if target.lower else -1
        one, other = ([sign * value / size for value in own] for own in (one, other))
    else:
        one, other = ([-value for value in own] for own in (one, other))
    return Fall(change(one, other, level, floor), untold)


def shown(change: float, target: Target, fine: bool) -> str:
    """Return a change of the metric with its sign: a share where margins are shares.

    With `fine` as many digits as a small change has: its limit has as many.
    """
    if fine:
        return amount(change, "+")
    unit = " %" * target.relative
    return f"{round(100 * change if target.relative else change, 4) + 0.0:+.4f}{unit}"


def shown_limit(most: float, target: Target) -> str:
    """Return a limit as it was given."""
    return f"{100 * most:+g} %" if target.relative else f"{most:+g}"


def _told(trials: Sequence[Measurement], arm: str, beside_baseline: bool) -> list[Pair]:
    """Return the trials that tell an arm's metric, each beside its baseline's or itself."""
    if beside_baseline:
        return with_metric(pairs_of(trials, arm))
    names = (BASELINE, CONTROL) if arm == BASELINE else (arm,)
    own = [t for t in trials if t.arm in names]
    if arm != BASELINE and any(t.stage == "confirm" for t in own):
        own = [t for t in own if t.stage == "confirm"]  # luck helped the screening choose it
    return with_metric([(t, t) for t in own])


def _metrics(pairs: Sequence[Pair], beside_baseline: bool, target: Target) -> Values:
    if not beside_baseline:
        return [(own.seed, own.metric) for _, own in pairs if own.metric is not None]
    both = zip(pairs, gains(pairs, target), strict=True)
    return [(own.seed, gain) for (_, own), gain in both if not math.isnan(gain)]


def _untold(sides: Sequence[Sequence[Pair]], old: int, new: int) -> str:
    """Say why so few seeds of either run tell no fall."""
    if any(len({own.seed for _, own in pairs}) > 1 and has_one_seed(pairs) for pairs in sides):
        return f": {ONE_SEED}"
    return f" from {old} and {new} seeds; two on each side give a bound"
