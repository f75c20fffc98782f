"""Intervals, against scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.intervals import (
    Interval,
    mean_interval,
    ratio_interval,
    repeated_interval,
    repeated_ratio,
    standard_error,
    t_quantile,
)
from bench.analysis.levels import Rule

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
    assert ratio_interval(VALUES, 0.975) == pytest.approx(
        (math.exp(low), stats.gmean(VALUES), math.exp(high))
    )


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


def test_no_value_gives_nothing() -> None:
    assert mean_interval([], 0.95) is None
    assert ratio_interval([]) is None


def test_equal_values_give_an_interval_without_width() -> None:
    assert mean_interval([0.5, 0.5, 0.5], 0.95) == Interval(0.5, 0.5, 0.5)


def test_the_spread_is_believed_to_be_at_least_the_floor() -> None:
    found = mean_interval([0.5, 0.5, 0.5, 0.5], 0.95, floor=0.02)
    half = stats.t.ppf(0.975, 3) * 0.01
    assert found == pytest.approx((0.5 - half, 0.5, 0.5 + half))


def test_an_interval_of_all_looks_is_wider_than_that_of_one() -> None:
    one, all_ = (repeated_interval(VALUES, rule, 0.025) for rule in (Rule(6, 6), Rule()))
    assert one == pytest.approx(mean_interval(VALUES, 0.95))
    assert one is not None
    assert all_ is not None
    assert (all_.low or 0) < (one.low or 0) < (one.high or 0) < (all_.high or 0)


def test_before_the_first_look_there_are_no_bounds() -> None:
    found = repeated_interval(VALUES[:3], Rule(), 0.025)
    assert found is not None
    assert (found.low, found.high) == (None, None)
    assert repeated_interval([], Rule(), 0.025) is None
    assert repeated_ratio([], Rule(), 0.025) is None


def test_equal_ratios_still_have_an_interval() -> None:
    found = repeated_ratio([2.0] * 4, Rule(), 0.025)
    assert found is not None
    assert found == pytest.approx((2 / 1.00667, 2, 2 * 1.00667), rel=1e-4)
