"""Which part a combination is to leave out, where together they lose more than they may."""

from __future__ import annotations

from typing import Any

from bench.analysis.overdone import exceeding, overdone
from bench.analysis.subsets import Subset
from bench.records.measurement import BASELINE, Measurement
from tests.records import header, measurement

A, B, C = (frozenset({name}) for name in "abc")
WHOLE = A | B | C
WITHOUT = {A: B | C, B: A | C, C: A | B}


def pairs(subset: Subset, seconds: float, *metrics: float) -> list[Measurement]:
    """Return pairs of a combination with a baseline of 1 s that reaches 0.9."""
    arm, first = "+".join(sorted(subset)), 100 * len(subset) + sum(map(ord, "".join(subset)))
    return [
        trial
        for number, metric in enumerate(metrics)
        for trial in (
            measurement(BASELINE, first + number),
            measurement(arm, first + number, seconds=seconds, metric=metric),
        )
    ]


def found(*made: list[Measurement]) -> Subset | None:
    trials = [trial for each in made for trial in each]
    return overdone(header(margin=0.01), trials, WHOLE, WITHOUT)


def test_nothing_is_left_out_of_what_keeps_its_quality() -> None:
    assert found(pairs(WHOLE, 0.1, 0.895), pairs(A | B, 0.2, 0.9)) is None


def test_one_pair_may_lose_twice_the_margin_by_chance_and_more_pairs_less() -> None:
    beside = pairs(A | B, 0.2, 0.9)
    assert found(pairs(WHOLE, 0.1, 0.8815), beside) is None
    assert found(pairs(WHOLE, 0.1, 0.8785), beside) == C
    assert found(pairs(WHOLE, 0.1, 0.8815, 0.8815), beside) == C


def test_of_what_keeps_it_the_fastest_is_left() -> None:
    made = pairs(A | B, 0.3, 0.9), pairs(A | C, 0.2, 0.9), pairs(B | C, 0.1, 0.5)
    assert found(pairs(WHOLE, 0.05, 0.5), *made) == B


def test_where_nothing_keeps_it_the_least_is_lost() -> None:
    made = pairs(A | B, 0.3, 0.7), pairs(A | C, 0.2, 0.6), pairs(B | C, 0.1, 0.5)
    assert found(pairs(WHOLE, 0.05, 0.5), *made) == C


def test_without_a_measurement_nothing_is_told() -> None:
    assert found() is None
    assert found(pairs(WHOLE, 0.1, 0.5)) is None
    assert found(pairs(A | B, 0.1, 0.5)) is None


def test_what_exceeds_a_limit_is_overdone_too() -> None:
    trials = [*pairs(A | B, 0.5, 0.9), *pairs(A, 0.2, 0.9)]
    assert exceeding(header(margin=0.01), trials) == set()
    assert exceeding(header(margin=0.01, limits={"time": 0.2}), trials) == {A | B}


def test_a_limit_on_what_steps_do_not_tell_is_no_fault_of_a_part() -> None:
    trials = [
        trial.model_copy(update={"kind": "step", "metric": None, "effect": "rounding"})
        for made in (pairs(A | B, 0.2, 0.9, 0.9), pairs(A, 0.5, 0.9), pairs(B, 0.4, 0.9))
        for trial in made
    ]
    head = header(margin=0.01, limits={"inference time": 1.0})
    assert overdone(head, trials, A | B, {A: B, B: A}) is None
    assert exceeding(head, trials) == set()


def without_margin(*made: list[Measurement], **changes: Any) -> Subset | None:
    trials = [trial.model_copy(update=changes) for each in made for trial in each]
    return overdone(header(margin=0.0), trials, WHOLE, WITHOUT)


def test_without_a_margin_what_a_test_item_does_not_explain_is_lost() -> None:
    beside = pairs(A | B, 0.2, 0.9)
    assert without_margin(pairs(WHOLE, 0.1, 0.7, 0.7), beside) == C
    assert without_margin(pairs(WHOLE, 0.1, 0.7), beside) == C
    assert without_margin(pairs(WHOLE, 0.1, 0.85, 0.9), beside) is None  # one of 20 items, once


def test_without_a_margin_or_a_grid_any_loss_is_one_once_seeds_show_no_spread() -> None:
    made = pairs(WHOLE, 0.1, 0.899, 0.899), pairs(A | B, 0.2, 0.9)
    assert without_margin(*made, data=None) == C
    assert without_margin(*made, data=None, seed=0) is None  # of one seed nobody knows
