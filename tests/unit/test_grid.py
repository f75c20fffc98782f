"""One test item moves a metric by a step: equal metrics of few items prove nothing of its loss."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis.comparison import compare
from bench.analysis.grid import floor_of, step_of
from bench.analysis.margin import automatic_margin
from bench.analysis.metric import metric_of
from bench.analysis.metric_fall import fall
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from bench.records.measurement import CONTROL, Measurement
from tests.records import DATA, measurement

PERCENT = Target("accuracy")
RELATIVE = Target("accuracy", relative_margin=0.01)


def trials(metric: float, items: int = 20) -> list[Measurement]:
    """Return four pairs of a candidate that is twice as fast and never differs in the metric."""
    data = replace(DATA, test_items=items)
    made = []
    for pair in range(4):
        made.append(measurement(pair=pair, metric=metric, data=data))
        made.append(measurement("fast", pair, seconds=0.5, metric=metric, data=data))
    return made


def in_float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


@pytest.mark.parametrize(
    ("metric", "items", "step"),
    [
        (0.85, 20, 0.05), (85.0, 20, 5.0), (17, 20, 1.0), (-0.85, 20, 0.05),
        (in_float32(59 / 61), 61, 1 / 61), (in_float32(100 * 59 / 61), 61, 100 / 61),
        (0.0, 20, 0.05), (0.8512, 20, 0.0), (3.7, 20, 0.0), (1e-9, 20, 0.0), (0.85, 0, 0.0),
    ],
)  # fmt: skip
def test_a_share_of_test_items_is_told_in_whatever_it_is_written(
    metric: float, items: int, step: float
) -> None:
    assert step_of(trials(metric, items)) == pytest.approx(step)
    assert floor_of(trials(metric, items)) == pytest.approx(step / 2)


@pytest.mark.parametrize(
    ("metric", "margin", "target"),
    [(0.85, 0.01, PERCENT), (85.0, 1.0, PERCENT), (0.85, 0.01, RELATIVE)],
)
def test_ties_of_few_items_keep_no_metric_however_it_and_its_margin_are_written(
    metric: float, margin: float, target: Target
) -> None:
    (result,) = compare(trials(metric), margin, target).arms
    assert (result.verdict, result.gains) == (Verdict.UNDECIDED, ("faster",))
    assert result.metric_difference is not None
    assert result.metric_difference.high is not None
    assert result.metric_difference.high > margin


@pytest.mark.parametrize(
    ("metric", "margin", "target"),
    [
        (0.8512, 0.01, Target("macro_recall", bounds=(0.0, 1.0))),
        (85.12, 1.0, Target("macro_recall", bounds=(0.0, 100.0))),
        (0.8512, 0.01, Target("macro_recall", bounds=(0.0, 1.0), relative_margin=0.01)),
    ],
)
def test_ties_of_a_mean_over_classes_are_as_coarse_as_a_share_of_few_items(
    metric: float, margin: float, target: Target
) -> None:
    (result,) = compare(trials(metric), margin, target).arms
    assert (result.verdict, result.gains) == (Verdict.UNDECIDED, ("faster",))
    assert compare(trials(metric, 4000), margin, target).arms[0].verdict is Verdict.WIN


@pytest.mark.parametrize(
    ("metric", "items", "bounds", "floor"),
    [
        (0.8512, 20, (0.0, 1.0), 0.025), (0.3712, 20, (-1.0, 1.0), 0.05),
        (0.85, 20, (-1.0, 1.0), 0.025), (0.8512, 0, (0.0, 1.0), 0.0),
        (0.8512, 20, None, 0.0), (3.7, 20, (0.0, math.inf), 0.0),
    ],
)  # fmt: skip
def test_an_item_moves_a_metric_that_is_no_share_by_its_part_of_the_range_if_that_has_ends(
    metric: float, items: int, bounds: tuple[float, float] | None, floor: float
) -> None:
    assert floor_of(trials(metric, items), bounds=bounds) == pytest.approx(floor)


@pytest.mark.parametrize(
    ("metric", "target", "margin"),
    [(0.85, PERCENT, 0.05), (85.0, PERCENT, 5.0), (0.85, RELATIVE, 0.05 / 0.85)],
)
def test_an_automatic_margin_is_a_test_item_in_the_unit_of_the_margin(
    metric: float, target: Target, margin: float
) -> None:
    found = automatic_margin(trials(metric), target, 0.01)
    assert found.size == pytest.approx(margin)
    assert found.why == "one test item"


def test_an_automatic_margin_of_a_metric_with_bounds_is_an_items_part_of_their_range() -> None:
    target = Target("macro_recall", bounds=(0.0, 1.0))
    found = automatic_margin(trials(0.8512), target, 0.01)
    assert found.size == pytest.approx(0.05)
    assert found.why == "one test item"


def test_two_runs_of_equal_metrics_do_not_show_that_a_share_of_it_is_kept() -> None:
    own: Any = trials(0.85)
    found = fall(own, own, "fast", RELATIVE, 0.95).worse
    assert found is not None
    assert found.high is not None
    assert found.high > 0.01


def test_equal_seeds_are_averaged_in_whatever_order_they_stand() -> None:
    own = [measurement(metric=0.8), measurement(CONTROL, metric=0.9), measurement(pair=1)]
    assert metric_of(own, PERCENT) == metric_of(own[::-1], PERCENT)
    found = metric_of(own[:2], PERCENT)
    assert found is not None
    assert found.middle == pytest.approx(0.85)
