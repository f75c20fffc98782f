"""How often test items mislead the verdict on a metric, and how much sooner it is given."""

from __future__ import annotations

import pytest

from bench.analysis.items import FEWEST, LARGEST, Way
from bench.analysis.levels import FIRST, Rule
from bench.analysis.sequential import Answer
from tests.benchmarks.bench_item_verdicts import MARGIN, SEQUENTIAL, Models, judged

RUNS = 4000
WAYS: tuple[Way, ...] = ("retrained", "converted")


def share_kept(
    models: Models, loss: float, way: Way | None, rule: Rule = SEQUENTIAL, runs: int = RUNS
) -> float:
    given, _ = judged(models, loss, way, runs, rule)
    return float((given == Answer.WIN).mean())


@pytest.mark.parametrize("items", [345, 624])
@pytest.mark.parametrize(
    ("way", "flips", "seeds"),
    [
        ("retrained", 0.01, 0.0),
        ("retrained", 0.0025, 0.006),
        ("retrained", 0.025, 0.006),
        ("converted", 0.01, 0.0),
    ],
)
def test_a_loss_of_just_the_margin_is_called_kept_in_about_five_percent(
    items: int, way: Way, flips: float, seeds: float
) -> None:
    assert 0.03 <= share_kept(Models(items, flips, seeds), MARGIN, way) <= 0.08


@pytest.mark.parametrize("flips", [0.0, 0.025])
@pytest.mark.parametrize("items", [15, 20, 28, 40, 64, 345])
def test_a_conversion_that_loses_one_and_a_half_margins_is_hardly_ever_called_kept(
    items: int, flips: float
) -> None:
    assert share_kept(Models(items, flips), 1.5 * MARGIN, "converted", runs=2000) <= 0.03


@pytest.mark.parametrize("flips", [0.0, 0.025])
@pytest.mark.parametrize("items", [FEWEST, 345, LARGEST])
def test_a_training_that_loses_one_and_a_half_margins_is_hardly_ever_called_kept(
    items: int, flips: float
) -> None:
    for seeds in (0.0, 0.006):
        assert share_kept(Models(items, flips, seeds), 1.5 * MARGIN, "retrained", runs=2000) <= 0.03


@pytest.mark.parametrize("items", [64, 345, 624])
def test_one_pair_of_a_conversion_that_loses_the_margin_is_called_kept_in_about_five_percent(
    items: int,
) -> None:
    assert share_kept(Models(items, 0.01), MARGIN, "converted", Rule(1, 1)) <= 0.07


@pytest.mark.parametrize(("items", "least"), [(345, 0.7), (624, 0.9)])
def test_what_loses_nothing_is_called_kept_much_sooner(items: int, least: float) -> None:
    models = Models(items, 0.005)
    soon = []
    for way in (None, *WAYS):
        given, after = judged(models, 0.0, way, 2000)
        soon.append(float(((given == Answer.WIN) & (after == FIRST)).mean()))
    by_seeds, *by_items = soon
    assert min(by_items) >= least > by_seeds
