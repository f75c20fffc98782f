"""How often the answer on a change is wrong, and how often it is found: on simulated runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.analysis.estimate import Counts, Values
from bench.analysis.levels import ALPHA, MOST, Rule
from bench.analysis.regression import Change, Row, changes
from tests.property.noise import Noise, drift, gauss, heavy, log_ratios, metric_differences, spikes

RUNS = 1500
MARGIN, ITEMS = 0.01, 345
PAIR = math.sqrt(2)
"""A pair's log ratio spreads by so much more than a trial."""


def rows(slower: float, deviation: float, limit: float, noise: Noise, seed: int) -> list[Row]:
    """Return time that is truly so much slower, memory that is equal; `deviation` of a pair."""
    random = np.random.default_rng(seed)
    time = log_ratios(random, RUNS, slower, deviation / PAIR, noise)
    memory = log_ratios(random, RUNS, 1.0, 0.0057)
    return [Row("time", time, math.log1p(limit)), Row("memory", memory, math.log1p(0.1))]


def confirmed(slower: float, limit: float, noise: Noise = gauss, deviation: float = 0.02) -> Counts:
    """Return the answers of runs in which a regression counts once fresh pairs confirm it."""
    first, again = (
        changes(rows(slower, deviation, limit, noise, seed), Rule(), ALPHA)[0] for seed in (1, 2)
    )
    return np.where(first == Change.REGRESSED, again, first)


def share(given: Counts, answer: Change) -> float:
    return float((given == answer).mean())


@pytest.mark.parametrize("noise", [gauss, heavy, drift, spikes(0.05, 0.03)])
@pytest.mark.parametrize("limit", [0.0, 0.05])
def test_what_did_not_change_hardly_ever_fails(noise: Noise, limit: float) -> None:
    assert share(confirmed(1.0, limit, noise), Change.REGRESSED) <= 0.01


def test_one_look_at_a_limit_of_nothing_errs_no_more_than_it_is_allowed() -> None:
    given, _ = changes(rows(1.0, 0.02, 0.0, gauss, 3), Rule(), ALPHA)
    assert share(given, Change.REGRESSED) <= 0.05


def test_ten_percent_slower_is_found_and_confirmed() -> None:
    assert share(confirmed(1.1, 0.05), Change.REGRESSED) >= 0.95


def test_just_the_limit_is_hardly_ever_called_kept_when_it_is_exceeded() -> None:
    given, _ = changes(rows(1.051, 0.02, 0.05, gauss, 4), Rule(), ALPHA)
    assert share(given, Change.KEPT) + share(given, Change.IMPROVED) <= 0.06


def test_what_did_not_change_is_called_kept_within_few_pairs() -> None:
    given, after = changes(rows(1.0, 0.02, 0.05, gauss, 5), Rule(), ALPHA)
    assert share(given, Change.KEPT) >= 0.95
    assert float(after.mean()) <= 9


def test_ten_percent_faster_is_called_improved() -> None:
    given, _ = changes(rows(1 / 1.1, 0.02, 0.05, gauss, 6), Rule(), ALPHA)
    assert share(given, Change.IMPROVED) >= 0.95


def quality(loss: float) -> Values:
    """Return what is lost of a share of 345 items, of which two in a hundred flip by chance."""
    return -metric_differences(np.random.default_rng(7), RUNS, loss, 0.02, ITEMS)


@pytest.mark.parametrize(("loss", "answer"), [(0.0, Change.KEPT), (0.05, Change.REGRESSED)])
def test_a_loss_of_quality_beyond_the_margin_is_found(loss: float, answer: Change) -> None:
    row = Row("accuracy", quality(loss), MARGIN, 0.5 / ITEMS, gains=False)
    assert share(changes([row], Rule(), ALPHA)[0], answer) >= 0.95


def test_trainings_that_fail_are_a_regression_whatever_the_others_take() -> None:
    lost = np.zeros((1, MOST), bool)
    lost[0, [0, 2]] = True
    time = Row("time", np.where(lost, np.nan, -0.3), math.log1p(0.05))
    given, after = changes([time], Rule(), ALPHA, lost)
    assert (given.tolist(), after.tolist()) == ([Change.REGRESSED], [4])
