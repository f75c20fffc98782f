"""Attribution: what each technique adds to a combination."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from bench.analysis.attribution import (
    Gains,
    Subset,
    contributions,
    interactions,
    orders_of,
    subsets_of,
)


def game(alone: dict[str, float], together: dict[Subset, float]) -> Gains:
    """Return the log gain of every subset: what its members gain alone, and its pairs beyond."""
    names = sorted(alone)
    return {
        frozenset(subset): sum(alone[name] for name in subset)
        + sum(extra for pair, extra in together.items() if pair <= set(subset))
        for size in range(1, len(names) + 1)
        for subset in combinations(names, size)
    }


def ratios(orders: list[tuple[str, ...]], rounds: list[Gains]) -> dict[str, float]:
    return {one.technique: math.log(one.ratio.middle) for one in contributions(orders, rounds)}


def test_independent_gains_are_each_technique_s_own() -> None:
    alone = {"a": 0.3, "b": 0.1, "c": -0.05}
    found = ratios(orders_of(sorted(alone)), [game(alone, {})] * 2)
    assert found == pytest.approx(alone)


def test_what_two_gain_together_is_shared_by_both() -> None:
    pair = frozenset({"a", "b"})
    found = ratios(orders_of(["a", "b"]), [game({"a": 0.3, "b": 0.1}, {pair: -0.08})] * 2)
    assert found == pytest.approx({"a": 0.26, "b": 0.06})


def test_contributions_add_up_to_the_gain_of_the_whole_in_a_sample_of_orders_too() -> None:
    alone = {name: 0.02 * number for number, name in enumerate("abcdefg", 1)}
    gains = game(alone, {frozenset("ab"): 0.1, frozenset("fg"): -0.2})
    orders = orders_of(sorted(alone))
    assert len(subsets_of(orders)) < 2 ** len(alone) // 2
    assert sum(ratios(orders, [gains] * 2).values()) == pytest.approx(gains[frozenset(alone)])


@pytest.mark.parametrize("count", [5, 6, 8])
def test_of_more_than_four_techniques_a_fraction_of_subsets_is_measured(count: int) -> None:
    names = [f"t{number}" for number in range(count)]
    orders = orders_of(names)
    assert len(subsets_of(orders)) <= 4 * count - 3 < 2**count - 1
    for name in names:  # early, late and in the midst alike
        places = [order.index(name) for order in orders]
        assert sum(places) / len(places) == (count - 1) / 2


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(7)
    truth = game({"a": 0.2, "b": 0.05}, {frozenset("ab"): 0.03})
    orders, hits, runs = orders_of(["a", "b"]), 0, 400
    for _ in range(runs):
        rounds = [
            {subset: gain + generator.normal(0, 0.05) for subset, gain in truth.items()}
            for _ in range(6)
        ]
        found = next(c for c in contributions(orders, rounds) if c.technique == "a")
        assert found.ratio.low is not None
        assert found.ratio.high is not None
        hits += found.ratio.low <= math.exp(0.215) <= found.ratio.high
    assert 0.92 * runs <= hits <= 0.98 * runs


def test_a_round_without_a_subset_is_left_out() -> None:
    whole = game({"a": 0.3, "b": 0.1}, {})
    torn = {subset: 9.0 for subset in whole if subset != frozenset("a")}
    assert ratios(orders_of(["a", "b"]), [whole, whole, torn]) == pytest.approx(
        {"a": 0.3, "b": 0.1}
    )


def test_an_interaction_is_what_goes_beyond_both() -> None:
    gains = game({"a": 0.3, "b": 0.1}, {frozenset("ab"): -0.2})
    (found,) = interactions([gains, gains])
    assert found.techniques == ("a", "b")
    assert math.log(found.ratio.middle) == pytest.approx(-0.2)
