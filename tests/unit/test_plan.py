"""The order in which a run makes its trials."""

from __future__ import annotations

import pytest

from bench.records.measurement import BASELINE, CONTROL
from bench.run.plan import Contrast, Planned, candidate, rounds
from tests.records import recipe

CONTRASTS = [
    Contrast("fast", recipe("fast"), recipe(), "full"),
    Contrast("small", recipe("small"), recipe(), "full"),
    Contrast(CONTROL, recipe(), recipe(), "step"),
]
Rounds = list[list[tuple[Planned, Planned]]]


def plan(repeats: int = 20, seed: int = 3, first_pair: int = 0) -> Rounds:
    return list(rounds(CONTRASTS, repeats, seed, first_pair))


def test_every_contrast_is_in_every_round_once() -> None:
    for pairs in plan():
        arms = [trial.arm for pair in pairs for trial in pair if trial.arm != BASELINE]
        assert sorted(arms) == sorted(contrast.arm for contrast in CONTRASTS)


def test_there_are_as_many_rounds_as_repeats() -> None:
    assert len(plan(repeats=7)) == 7


def test_every_pair_has_the_baseline_and_its_candidate() -> None:
    assert all(
        len({one.arm, other.arm} & {BASELINE}) == 1 for pairs in plan() for one, other in pairs
    )


def test_both_trials_of_a_pair_share_seed_number_and_kind() -> None:
    for pairs in plan():
        for one, other in pairs:
            assert (one.seed, one.pair, one.kind) == (other.seed, other.pair, other.kind)


def test_a_round_shares_a_seed_and_every_round_has_the_next() -> None:
    seeds = [{trial.seed for pair in pairs for trial in pair} for pairs in plan(4, seed=10)]
    assert seeds == [{10}, {11}, {12}, {13}]


def test_what_a_pair_measures_is_known_in_either_order() -> None:
    for pairs in plan(5):
        for one, other in pairs:
            assert candidate((one, other)) == candidate((other, one)) != BASELINE


def test_a_pair_is_of_one_stage() -> None:
    (pairs,) = rounds(CONTRASTS, 1, 0, stage="confirm")
    assert {trial.stage for pair in pairs for trial in pair} == {"confirm"}


def test_the_pairs_of_one_run_have_numbers_of_their_own() -> None:
    numbers = [pair[0].pair for pairs in plan(5) for pair in pairs]
    assert sorted(numbers) == list(range(15))


def test_later_pairs_begin_where_they_are_told() -> None:
    numbers = {pair[0].pair for pairs in plan(2, first_pair=30) for pair in pairs}
    assert numbers == set(range(30, 36))


@pytest.mark.parametrize("arm", ["fast", "small", CONTROL])
def test_the_baseline_comes_first_about_half_of_the_time(arm: str) -> None:
    firsts = [
        one.arm == BASELINE
        for pairs in plan(100)
        for one, other in pairs
        if arm in (one.arm, other.arm)
    ]
    assert 30 <= sum(firsts) <= 70


def test_contrasts_change_places_between_rounds() -> None:
    first = {(pairs[0][0].arm, pairs[0][1].arm) for pairs in plan(30)}
    assert len({arm for pair in first for arm in pair} - {BASELINE}) == 3


def test_a_plan_follows_from_its_seed() -> None:
    assert plan(seed=5) == plan(seed=5)
    assert plan(seed=5) != plan(seed=6)


def test_a_baseline_runs_the_recipe_without_techniques() -> None:
    trials = [trial for pairs in plan(3) for pair in pairs for trial in pair]
    assert all(trial.recipe == recipe() for trial in trials if trial.arm in (BASELINE, CONTROL))
    assert all(trial.recipe == recipe("fast") for trial in trials if trial.arm == "fast")
