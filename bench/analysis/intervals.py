"""Compute intervals of paired measurements: Student's t, on logarithms for ratios."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

RATIO_LEVEL = 0.975
"""Two-sided, for each of time and memory, so that both hold together at 95 %."""
METRIC_LEVEL = 0.95
MOST_PAIRS = 1000


class Interval(NamedTuple):
    """A middle with its bounds; the bounds are None where one value alone gives none."""

    low: float | None
    middle: float
    high: float | None


def t_quantile(probability: float, degrees: int) -> float:
    """Return the quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def mean_interval(
    values: Sequence[float], level: float, bounds: tuple[float, float] | None = None
) -> Interval | None:
    """Return the mean with its two-sided t interval; None for no values.

    It is cut at `bounds`, which no mean can be beyond, unless a value is: then they are wrong.
    """
    if not values:
        return None
    middle = math.fsum(values) / len(values)
    if len(values) < 2:
        return Interval(None, middle, None)
    half = t_quantile((1 + level) / 2, len(values) - 1) * standard_error(values)
    low, high = middle - half, middle + half
    if bounds and bounds[0] <= min(values) and max(values) <= bounds[1]:
        low = min(middle, max(low, bounds[0]))
        high = max(middle, min(high, bounds[1]))
    return Interval(low, middle, high)


def ratio_interval(ratios: Sequence[float], level: float = RATIO_LEVEL) -> Interval | None:
    """Return the geometric mean of paired ratios with its interval."""
    logs = mean_interval([math.log(ratio) for ratio in ratios], level)
    if logs is None:
        return None
    low, middle, high = (None if value is None else math.exp(value) for value in logs)
    assert middle is not None
    return Interval(low, middle, high)


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of at least two values."""
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance / len(values))


def lower_bound(values: Sequence[float], level: float = METRIC_LEVEL) -> float | None:
    """Return the one-sided lower confidence bound of the mean; None below two values."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    return mean - t_quantile(level, len(values) - 1) * standard_error(values)


def upper_bound(values: Sequence[float], level: float = METRIC_LEVEL) -> float | None:
    """Return the one-sided upper confidence bound of the mean; None below two values."""
    low = lower_bound([-value for value in values], level)
    return None if low is None else -low


def pairs_to_decide(values: Sequence[float], distance: float, one_sided: float) -> int | None:
    """Return about how many pairs bring the half-width of the interval under `distance`.

    `values` are what was seen so far; `one_sided` the confidence of the bound. None when more than
    1000 would be needed, or when too few were seen to tell.
    """
    if len(values) < 2 or distance <= 0:
        return None
    deviation = standard_error(values) * math.sqrt(len(values))
    for pairs in range(2, MOST_PAIRS + 1):
        if t_quantile(one_sided, pairs - 1) * deviation / math.sqrt(pairs) < distance:
            return pairs
    return None
