"""Intervals, against scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.intervals import (
    Interval,
    lower_bound,
    mean_interval,
    pairs_to_decide,
    ratio_interval,
    standard_error,
    t_quantile,
    upper_bound,
)

VALUES = [0.91, 0.87, 0.93, 0.9, 0.88, 0.95]


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.975, 0.99])
def test_a_mean_has_the_t_interval_of_scipy(level: float) -> None:
    found = mean_interval(VALUES, level)
    low, high = stats.t.interval(
        level, len(VALUES) - 1, loc=np.mean(VALUES), scale=stats.sem(VALUES)
    )
    assert found is not None
    assert found == pytest.approx((low, np.mean(VALUES), high))


def test_a_ratio_has_the_interval_of_its_logarithms() -> None:
    logs = np.log(VALUES)
    low, high = stats.t.interval(0.975, len(logs) - 1, loc=logs.mean(), scale=stats.sem(logs))
    assert ratio_interval(VALUES) == pytest.approx(
        (math.exp(low), stats.gmean(VALUES), math.exp(high))
    )


def test_a_one_sided_bound_is_that_of_scipys_test() -> None:
    expected = stats.ttest_1samp(VALUES, 0, alternative="greater").confidence_interval(0.95).low
    assert lower_bound(VALUES) == pytest.approx(expected)
    expected = stats.ttest_1samp(VALUES, 0, alternative="less").confidence_interval(0.95).high
    assert upper_bound(VALUES) == pytest.approx(expected)


def test_a_standard_error_is_scipys() -> None:
    assert standard_error(VALUES) == pytest.approx(stats.sem(VALUES))


@pytest.mark.parametrize("degrees", [1, 2, 5, 30])
def test_a_quantile_is_scipys(degrees: int) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(stats.t.ppf(0.975, degrees))


def test_one_value_gives_no_bounds() -> None:
    assert mean_interval([0.9], 0.95) == Interval(None, 0.9, None)
    ratio = ratio_interval([2.0])
    assert ratio is not None
    assert (ratio.low, ratio.high) == (None, None)
    assert ratio.middle == pytest.approx(2.0)
    assert lower_bound([0.9]) is None
    assert upper_bound([0.9]) is None


def test_no_value_gives_nothing() -> None:
    assert mean_interval([], 0.95) is None
    assert ratio_interval([]) is None
    assert lower_bound([]) is None


def test_equal_values_give_an_interval_without_width() -> None:
    assert mean_interval([0.5, 0.5, 0.5], 0.95) == Interval(0.5, 0.5, 0.5)


def test_as_many_pairs_decide_as_bring_the_interval_under_the_distance() -> None:
    need = pairs_to_decide(VALUES, 0.01, 0.95)
    assert need is not None
    deviation = float(np.std(VALUES, ddof=1))
    halves = [stats.t.ppf(0.95, n - 1) * deviation / math.sqrt(n) for n in (need - 1, need)]
    assert halves[0] >= 0.01 > halves[1]


@pytest.mark.parametrize(("values", "distance"), [([0.9], 0.1), (VALUES, 0.0), (VALUES, 1e-6)])
def test_how_many_pairs_decide_can_not_always_be_told(values: list[float], distance: float) -> None:
    assert pairs_to_decide(values, distance, 0.95) is None
