"""Compute intervals of paired measurements: Student's t, on logarithms for ratios."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.analysis.estimate import RATIO_FLOOR, Estimate, bounds, estimate
from bench.analysis.levels import Rule

METRIC_LEVEL = 0.95
"""Two-sided."""

LARGEST_LOG = 700.0


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
    values: Sequence[float],
    level: float,
    bounds: tuple[float, float] | None = None,
    floor: float = 0.0,
) -> Interval | None:
    """Return the mean with its two-sided t interval; None for no values.

    `floor` is the least standard deviation believed. It is cut at `bounds`, which no mean can be
    beyond, unless a value is: then they are wrong.
    """
    if not values:
        return None
    middle = math.fsum(values) / len(values)
    if len(values) < 2:
        return Interval(None, middle, None)
    error = max(standard_error(values), floor / math.sqrt(len(values)))
    half = t_quantile((1 + level) / 2, len(values) - 1) * error
    low, high = middle - half, middle + half
    if bounds and bounds[0] <= min(values) and max(values) <= bounds[1]:
        low = min(middle, max(low, bounds[0]))
        high = max(middle, min(high, bounds[1]))
    return Interval(low, middle, high)


def ratio_interval(ratios: Sequence[float], level: float = METRIC_LEVEL) -> Interval | None:
    """Return the geometric mean of paired ratios with its interval, for one look alone."""
    return exponential(mean_interval([math.log(ratio) for ratio in ratios], level))


def repeated_interval(
    values: Sequence[float], rule: Rule, total: float, floor: float = 0.0, clip: bool = False
) -> Interval | None:
    """Return the mean with bounds that hold at all looks together, each with the error `total`.

    The bounds are None before the first look.
    """
    if not values:
        return None
    return as_interval(estimate(np.array(values, float), floor, clip), rule, total)


def as_interval(found: Estimate, rule: Rule, total: float) -> Interval:
    """Return the mean of some values with such bounds."""
    low, high = (float(bound) for bound in bounds(found, total, rule))
    if not math.isfinite(low):
        return Interval(None, float(found.mean), None)
    return Interval(low, float(found.mean), high)


def repeated_ratio(ratios: Sequence[float], rule: Rule, total: float) -> Interval | None:
    """Return the geometric mean of paired ratios, without outliers, with such bounds."""
    logs = [math.log(ratio) for ratio in ratios]
    return exponential(repeated_interval(logs, rule, total, RATIO_FLOOR, clip=True))


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of at least two values."""
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance / len(values))


def exponential(logs: Interval | None) -> Interval | None:
    """Return the ratios whose logarithms these are."""
    if logs is None:
        return None
    low, middle, high = (None if log is None else math.exp(_within(log)) for log in logs)
    assert middle is not None
    return Interval(low, middle, high)


def _within(log: float) -> float:
    """Return a logarithm whose number a float holds: wild pairs have bounds beyond all of them."""
    return min(max(log, -LARGEST_LOG), LARGEST_LOG)
