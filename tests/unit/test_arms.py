"""What the arms of a run are called."""

from __future__ import annotations

import pytest

from bench.errors import BenchError
from bench.recipes import resolve
from bench.run.arm_names import join, labels


def names(*arms: str) -> list[str]:
    """Return the names of arms, each given as texts with spaces between."""
    return [join(label) for label in labels([resolve.make_techniques(a.split()) for a in arms])]


def test_an_arm_is_called_by_its_techniques() -> None:
    found = names("early-stopping:patience=3", "mixed-precision compile")
    assert found == ["early-stopping", "mixed-precision+compile"]


def test_arms_of_one_technique_are_told_apart_by_the_settings_in_which_they_differ() -> None:
    found = names(
        "early-stopping:patience=3,every=1", "early-stopping:patience=5,every=1", "compile"
    )
    assert found == ["early-stopping:patience=3", "early-stopping:patience=5", "compile"]


def test_a_setting_that_was_not_typed_is_told_too() -> None:
    found = names("early-stopping", "early-stopping:fraction=0.5")
    assert found == ["early-stopping:fraction=0.2", "early-stopping:fraction=0.5"]


def test_several_settings_are_told_where_several_differ() -> None:
    found = names("early-stopping:patience=3,every=1", "early-stopping", "early-stopping:every=3")
    assert found == [
        "early-stopping:patience=3,every=1",
        "early-stopping:patience=10,every=2",
        "early-stopping:patience=10,every=3",
    ]


@pytest.mark.parametrize("again", ["early-stopping", "early-stopping:patience=10"])
def test_two_arms_that_do_the_same_are_refused(again: str) -> None:
    with pytest.raises(BenchError, match="early-stopping is given twice; give it once, or other"):
        names("early-stopping", again)
