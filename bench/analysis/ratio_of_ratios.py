"""How an arm changed between two runs: each against its own baseline, so that drift cancels.

Speed is a ratio of ratios; quality is compared seed by seed, each seed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from bench.analysis.estimate import RATIO_FLOOR
from bench.analysis.intervals import Interval, standard_error, t_quantile


def change(
    before: Sequence[float], after: Sequence[float], level: float, floor: float = RATIO_FLOOR
) -> Interval | None:
    """Return mean(after) - mean(before) of logarithms of paired ratios (Welch's t).

    `floor` is the least standard deviation believed of either. None where one run has fewer than
    two pairs: one alone gives no bound.
    """
    if len(before) < 2 or len(after) < 2:
        return None
    mean = math.fsum(after) / len(after) - math.fsum(before) / len(before)
    a, b = (max(standard_error(own), floor / math.sqrt(len(own))) ** 2 for own in (before, after))
    if a + b == 0:
        return Interval(mean, mean, mean)
    freedom = (a + b) ** 2 / (a**2 / (len(before) - 1) + b**2 / (len(after) - 1))
    half = t_quantile(level, max(1, int(freedom))) * math.sqrt(a + b)
    return Interval(mean - half, mean, mean + half)


def by_seed(
    before: Iterable[tuple[int, float]], after: Iterable[tuple[int, float]],
    gain: Callable[[float, float], float] = lambda old, new: new - old,
) -> list[float]:  # fmt: skip
    """Return the gain of each seed that both have: (seed, value), equal seeds averaged."""
    old, new = seed_means(before), seed_means(after)
    return [gain(old[seed], new[seed]) for seed in old if seed in new]


def seed_means(values: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Return one value a seed: equal seeds are no replicates, and averaged."""
    found: dict[int, list[float]] = {}
    for seed, value in values:
        found.setdefault(seed, []).append(value)
    return {seed: math.fsum(own) / len(own) for seed, own in found.items()}
