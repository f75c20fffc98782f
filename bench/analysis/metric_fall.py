"""By how much a metric is worse in one run than in another: seed by seed, as the margin counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.grid import floor_of
from bench.analysis.intervals import Interval, mean_interval
from bench.analysis.pairs import pairs_of
from bench.analysis.ratio_of_ratios import by_seed, change, seed_means
from bench.baseline import Target
from bench.records.measurement import BASELINE, CONTROL, Measurement
from bench.records.text import amount

Values = list[tuple[int, float]]
"""Of each trial its seed and its metric; across machines, by how much that is better than the
baseline's beside it."""


class Fall(NamedTuple):
    """How much worse a metric is; of how many seeds of either run it is known."""

    worse: Interval | None
    known: tuple[int, int]


def fall(
    old: Sequence[Measurement], new: Sequence[Measurement], arm: str, target: Target, level: float,
    beside_baseline: bool = False,
) -> Fall:  # fmt: skip
    """Return the fall of an arm's metric with one-sided bounds of `level`.

    Over the seeds of both, each counted once; where they share fewer than two, over each run's own.
    Where margins are shares, it is a share of what the metric was: none is told of 0.
    """
    beside = [t for t in (*old, *new) if t.arm in (arm, BASELINE, CONTROL)]
    floor = floor_of(beside, target.relative, target.bounds)
    before, after = (_metrics(own, arm, beside_baseline, target) for own in (old, new))
    known = len(dict(before)), len(dict(after))
    paired = by_seed(before, after) if beside_baseline else by_seed(before, after, target.gain)
    falls = [-gain for gain in paired if not math.isnan(gain)]
    if len(falls) >= 2:
        return Fall(mean_interval(falls, 2 * level - 1, floor=floor), known)
    one, other = ([*seed_means(own).values()] for own in (before, after))
    if not beside_baseline:
        size = abs(math.fsum(one)) / len(one) if target.relative and one else 1.0
        if not size:
            return Fall(None, known)
        sign = 1 if target.lower else -1
        one, other = ([sign * value / size for value in own] for own in (one, other))
    else:
        one, other = ([-value for value in own] for own in (one, other))
    return Fall(change(one, other, level, floor), known)


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


def _metrics(
    trials: Sequence[Measurement], arm: str, beside_baseline: bool, target: Target
) -> Values:
    if beside_baseline:
        both = [(c.seed, b.metric, c.metric) for b, c in pairs_of(trials, arm)]
        gains = [(s, target.gain(b, c)) for s, b, c in both if b is not None and c is not None]
        return [(seed, gain) for seed, gain in gains if not math.isnan(gain)]
    names = (BASELINE, CONTROL) if arm == BASELINE else (arm,)
    own = [t for t in trials if t.arm in names]
    if arm != BASELINE and any(t.stage == "confirm" for t in own):
        own = [t for t in own if t.stage == "confirm"]  # luck helped the screening choose it
    return [(t.seed, t.metric) for t in own if t.ok and t.metric is not None]
