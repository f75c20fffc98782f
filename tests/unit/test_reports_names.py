"""Names of dots: none lies over another, on any width of the page."""

from __future__ import annotations

import pytest

from reports.charts.names import _box, names
from reports.charts.scale import Scale, signed, spaced, ticks

LONG = "limit-steps+scale-model+sequence-reduction"


def test_names_of_neighbours_stand_at_different_corners() -> None:
    found = names([("limit-steps", 0.55, 0.6), ("adafactor", 0.57, 0.6)], 270)
    assert [("end" in one, "start" in one) for one in found] == [(True, False), (False, True)]


def test_a_name_without_a_place_is_left_to_the_table() -> None:
    crowd = [(f"technique-{n}", 0.5, 0.5) for n in range(9)]
    assert len(names(crowd, 270)) == 4


def test_a_long_name_may_lie_where_only_a_narrow_page_would_be_crowded() -> None:
    assert len(names([("baseline", 0.2, 0.5), (LONG, 0.9, 0.53)], 270)) == 2


@pytest.mark.parametrize("wide", [240, 400, 700, 1100])
def test_no_name_leaves_the_drawing(wide: int) -> None:
    for across in (0.0, 0.3, 0.5, 0.8, 1.0):
        for corner in ((17, -8, "start"), (-17, 16, "end")):
            box = _box("mixed-precision", across, 100, corner)
            ends = across * wide + box.left, across * wide + box.right
            assert not box.inside() or (ends[0] > -76 and ends[1] < wide + 18)


def test_labels_of_a_narrow_axis_are_spaced_and_keep_zero() -> None:
    scale = Scale(-0.055, 0.007)
    found = spaced(ticks(scale, signed, 3), scale, 105)
    assert [value for value, _ in found] == [-0.025, 0.0]
