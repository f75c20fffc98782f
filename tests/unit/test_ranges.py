"""A baseline names ranges for its settings, and a search takes them as they are."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pydantic import Field

from baselines.murmur import Murmur, MurmurSettings
from bench.baseline import Settings, Target
from bench.cli.list import as_text, listing
from bench.errors import BenchError
from bench.recipes.ranges import ranges_of, searched
from bench.records.ranges import Range


def marked_with(mark: Any) -> Any:
    """Return a baseline of which one setting is marked so."""

    class Marked(Settings):
        lr: float = Field(0.1, gt=0, json_schema_extra={"range": mark})

    class Made:
        name, unit, target, settings = "made", "items", Target("accuracy"), Marked

        def job(self, settings: Any, device: Any, seed: int) -> Any:
            raise NotImplementedError

    return Made()


def test_murmur_names_the_table_of_its_report() -> None:
    ranges = ranges_of(MurmurSettings, "murmur")
    assert {name: one.values for name, one in ranges.items()} == {
        "lr": (1e-4, 5e-4, 1e-3, 5e-3),
        "batch_size": (16, 32, 64),
        "dropout": (0.2, 0.3, 0.5),
        "hidden": (256, 512, 1024),
        "backbone": ("resnet18", "resnet34", "efficientnet-b2"),
        "gamma": (1.0, 2.0, 3.0),
    }


def test_a_card_says_what_a_search_tries() -> None:
    card = as_text("baselines", listing("baselines", "murmur", "murmur", None, "cpu"))
    assert "units of the layer that both heads share; searched over 256, 512, 1024" in card
    assert "backbone = 'resnet18'" in card
    assert "searched over resnet18, resnet34, efficientnet-b2" in card


def test_the_baselines_own_value_is_among_those_to_choose_from() -> None:
    settings = MurmurSettings(preset="report")
    ranges = searched(cast(Any, Murmur()), settings)
    assert ranges["backbone"].values[-1] == settings.backbone == "efficientnet-b0"
    assert ranges["hidden"].values == (256, 512, 1024)


def test_a_range_between_two_numbers_is_of_whole_ones_where_both_are() -> None:
    rates = Range(low=1e-4, high=1e-1, log=True)
    assert (rates.whole, rates.holds(0.01), rates.holds(1.0), rates.holds("0.01")) == (
        False, True, False, False
    )  # fmt: skip
    assert Range(low=1, high=8).whole
    assert Range.model_validate_json(Range(low=1, high=8).model_dump_json()).whole


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ([], "baseline made: lr has the range []: content: give values to choose among, or low"),
        ({"low": 1.0}, "give values to choose among, or low and high"),
        ({"low": 1.0, "high": 0.5}, "low=1.0 is not below high=0.5"),
        ({"low": 0.0, "high": 0.5, "log": True}, "with log, low must be above 0"),
        ({"low": 0.1, "upto": 0.5}, "lr has the range {'low': 0.1, 'upto': 0.5}: upto: Extra"),
        ([0.1, -1.0], "baseline made: lr: Input should be greater than 0 (got -1.0)"),
        ("all", "baseline made: lr has the range 'all'"),
    ],
)
def test_a_mark_that_is_no_range_is_named(mark: Any, message: str) -> None:
    baseline = marked_with(mark)
    with pytest.raises(BenchError) as raised:
        searched(baseline, baseline.settings())
    assert message in str(raised.value)


def test_without_ranges_there_is_nothing_to_search() -> None:
    class Bare:
        name, unit, target, settings = "bare", "items", Target("accuracy"), Settings

        def job(self, settings: Any, device: Any, seed: int) -> Any:
            raise NotImplementedError

    with pytest.raises(BenchError, match="baseline bare names no ranges for its settings, so"):
        searched(cast(Any, Bare()), Settings())
