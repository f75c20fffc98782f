"""Attribution: what each technique adds to a combination."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from bench.analysis.attribution import (
    Attribution,
    Contribution,
    contributions,
    interactions,
    lacking,
    orders_of,
    subsets_of,
    untold,
)
from bench.analysis.intervals import Interval
from bench.analysis.subsets import Gained, Gains, Subset


def game(alone: dict[str, float], together: dict[Subset, float]) -> Gains:
    """Return the log gain of every subset: what its members gain alone, and its pairs beyond."""
    names = sorted(alone)
    return {
        frozenset(subset): sum(alone[name] for name in subset)
        + sum(extra for pair, extra in together.items() if pair <= set(subset))
        for size in range(1, len(names) + 1)
        for subset in combinations(names, size)
    }


def pairs_in(rounds: list[Gains]) -> list[Gained]:
    """Return each subset's pairs, a trial of the baseline for each."""
    every = [one for gains in rounds for one in gains.items()]
    return [Gained(subset, gain, number) for number, (subset, gain) in enumerate(every)]


def ratios(orders: list[tuple[str, ...]], rounds: list[Gains]) -> dict[str, float]:
    found = contributions(orders, pairs_in(rounds))
    return {one.technique: math.log(one.ratio.middle) for one in found}


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
    """Of subsets in uneven numbers, in blocks that share a noisy trial of the baseline."""
    generator = np.random.default_rng(7)
    truth = game({"a": 0.2, "b": 0.05, "c": 0.1}, {frozenset("ab"): 0.03})
    contribution = {"a": 0.215, "b": 0.065, "c": 0.1}
    orders, runs, hits = orders_of(["a", "b", "c"]), 400, Counter[str]()
    for _ in range(runs):
        known: list[Gained] = []
        for pair in range(10):
            baseline, few = generator.normal(0, 0.035), pair % 5
            block = (
                [s for k, s in enumerate(truth) if k % 3 == few] if few < 3 else [frozenset("abc")]
            )
            known += [
                Gained(subset, truth[subset] + baseline - generator.normal(0, 0.035), pair)
                for subset in block
            ]
        for one in contributions(orders, known):
            assert one.ratio.low is not None
            assert one.ratio.high is not None
            hits[one.technique] += (
                one.ratio.low <= math.exp(contribution[one.technique]) <= one.ratio.high
            )
    assert all(0.92 * runs <= hits[name] <= 0.98 * runs for name in contribution)


def test_a_subset_counts_by_its_mean_however_many_pairs_it_has() -> None:
    whole = game({"a": 0.3, "b": 0.1}, {})
    more = [{frozenset("ab"): 0.5}, {frozenset("ab"): 0.3}]
    assert ratios(orders_of(["a", "b"]), [whole, *more]) == pytest.approx({"a": 0.3, "b": 0.1})


def test_what_a_technique_adds_is_unknown_while_a_subset_is() -> None:
    torn = {s: g for s, g in game({"a": 0.3, "b": 0.1}, {}).items() if s != frozenset("a")}
    assert contributions(orders_of(["a", "b"]), pairs_in([torn, torn])) == []


def test_one_pair_of_each_subset_gives_no_interval() -> None:
    found = contributions(orders_of(["a", "b"]), pairs_in([game({"a": 0.3, "b": 0.1}, {})]))
    assert [(one.ratio.low, one.ratio.high) for one in found] == [(None, None)] * 2


def test_an_interaction_is_what_goes_beyond_both() -> None:
    gains = game({"a": 0.3, "b": 0.1}, {frozenset("ab"): -0.2})
    (found,) = interactions(pairs_in([gains, gains]))
    assert found.techniques == ("a", "b")
    assert math.log(found.ratio.middle) == pytest.approx(-0.2)


def attributed(found: list[Contribution]) -> Attribution:
    return Attribution(arm="whole", objective="time", rounds=2, subsets=1, orders=1,
                       contributions=tuple(found), interactions=())  # fmt: skip


def shares(**bounds: tuple[float, float]) -> Attribution:
    return attributed([
        Contribution(name, Interval(low, math.sqrt(low * high), high))
        for name, (low, high) in bounds.items()
    ])  # fmt: skip


def test_a_share_that_helps_hinders_or_gains_less_than_is_worth_finding_is_told() -> None:
    found = shares(a=(1.01, 1.3), b=(0.8, 0.95), c=(0.98, 1.04), d=(0.98, 1.06))
    assert untold(found) == ["d"]


def test_those_subsets_are_measured_again_that_tell_what_is_open() -> None:
    orders = orders_of("abcd")
    every = subsets_of(orders)
    counts = dict.fromkeys(every, 2)
    clear = dict.fromkeys("abc", (1.2, 1.3))
    found, done = shares(**clear, d=(0.98, 1.06)), shares(**clear, d=(0.98, 1.04))
    whole, core, alone = frozenset("abcd"), frozenset("abc"), frozenset("d")
    assert lacking(orders, counts, found, 3) == [alone, core, whole]
    assert lacking(orders, counts | {whole: 8, core: 8}, found, 3)[0] == alone
    assert lacking(orders, counts | {alone: 8, whole: 8}, found, 3)[0] == core
    assert lacking(orders, counts | {core: 0}, None, 3) == [core]
    assert lacking(orders, counts, done, 3) == []


def test_rounds_that_end_when_all_is_told_leave_intervals_that_hold_the_truth() -> None:
    generator = np.random.default_rng(3)
    alone = {"a": 0.3, "b": 0.08, "c": 0.02, "d": 0.0}
    truth, orders = game(alone, {}), orders_of([*alone])
    runs, hits, made = 150, Counter[str](), 0
    for _ in range(runs):
        known: list[Gained] = []
        found = None
        for _ in range(4):
            counts = Counter(one.subset for one in known)
            asked = lacking(orders, counts, found, 3)
            for block in (asked[k : k + 3] for k in range(0, len(asked), 3)):
                baseline = generator.normal(0, 0.035)
                pair = len(known)
                known += [
                    Gained(s, truth[s] + baseline - generator.normal(0, 0.035), pair) for s in block
                ]
            made += len(asked)
            found = attributed(contributions(orders, known))
        assert found is not None
        for one in found.contributions:
            low, high = one.ratio.low, one.ratio.high
            assert low is not None
            assert high is not None
            hits[one.technique] += low <= math.exp(alone[one.technique]) <= high
    assert made / runs < 24  # of 60, where all are measured four times
    assert sum(hits.values()) >= 0.92 * 4 * runs
