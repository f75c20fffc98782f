"""What holds for the interval of any values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.intervals import (
    Interval,
    mean_interval,
    ratio_interval,
)

levels = st.sampled_from([0.5, 0.9, 0.95, 0.975])
samples = st.lists(st.floats(-100, 100), min_size=2, max_size=20)
ratios = st.lists(st.floats(0.05, 20), min_size=2, max_size=20)


def bounds(interval: Interval | None) -> tuple[float, float, float]:
    assert interval is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.middle, interval.high


@given(samples, levels)
def test_an_interval_contains_its_middle(values: list[float], level: float) -> None:
    low, middle, high = bounds(mean_interval(values, level))
    assert low <= middle <= high
    assert min(values) - 1e-9 <= middle <= max(values) + 1e-9


@given(samples, levels, st.floats(0, 50), st.floats(0, 50))
def test_an_interval_is_cut_where_no_value_can_be(
    values: list[float], level: float, below: float, above: float
) -> None:
    least, largest = min(values) - below, max(values) + above
    low, middle, high = bounds(mean_interval(values, level))
    cut = bounds(mean_interval(values, level, (least, largest)))
    assert cut == pytest.approx((max(low, least), middle, min(high, largest)))


@given(samples, levels)
def test_bounds_that_a_value_is_beyond_cut_nothing(values: list[float], level: float) -> None:
    wrong = min(values) - 1, max(values) - 0.5
    assert mean_interval(values, level, wrong) == mean_interval(values, level)


@given(ratios)
def test_swapping_baseline_and_candidate_inverts_the_ratio(values: list[float]) -> None:
    low, middle, high = bounds(ratio_interval(values))
    swapped = bounds(ratio_interval([1 / value for value in values]))
    assert swapped == pytest.approx((1 / high, 1 / middle, 1 / low), rel=1e-6)


@given(ratios, st.floats(0.1, 10))
def test_a_factor_of_every_ratio_is_a_factor_of_the_interval(
    values: list[float], factor: float
) -> None:
    expected = tuple(factor * bound for bound in bounds(ratio_interval(values)))
    assert bounds(ratio_interval([factor * v for v in values])) == pytest.approx(expected, rel=1e-6)


@given(samples, st.floats(1.1, 5), levels)
def test_more_spread_is_a_wider_interval(values: list[float], factor: float, level: float) -> None:
    middle = math.fsum(values) / len(values)
    spread = [middle + factor * (value - middle) for value in values]
    low, _, high = bounds(mean_interval(values, level))
    wide_low, _, wide_high = bounds(mean_interval(spread, level))
    assert wide_high - wide_low >= (high - low) * factor * (1 - 1e-6) - 1e-9


@given(samples)
def test_a_higher_level_is_a_wider_interval(values: list[float]) -> None:
    low, _, high = bounds(mean_interval(values, 0.9))
    wide_low, _, wide_high = bounds(mean_interval(values, 0.99))
    assert wide_low <= low
    assert high <= wide_high


@given(samples)
def test_the_same_values_twice_are_a_narrower_interval(values: list[float]) -> None:
    low, _, high = bounds(mean_interval(values, 0.95))
    narrow_low, _, narrow_high = bounds(mean_interval(values * 2, 0.95))
    assert low - 1e-9 <= narrow_low <= narrow_high <= high + 1e-9


@given(samples)
def test_the_order_of_values_does_not_matter(values: list[float]) -> None:
    assert mean_interval(values, 0.95) == pytest.approx(mean_interval(sorted(values), 0.95))
