"""The order in which a run makes its trials."""

from __future__ import annotations

import random

import pytest

from bench.records.measurement import BASELINE, CONTROL
from bench.run.plan import BLOCK, Block, Contrast, only, rounds, trials_in
from tests.records import recipe

CONTRASTS = [
    Contrast("fast", recipe("fast"), recipe(), "full"),
    Contrast("small", recipe("small"), recipe(), "full"),
    Contrast(CONTROL, recipe(), recipe(), "step"),
    *(Contrast(f"a{n}", recipe(f"a{n}"), recipe(), "full") for n in range(3)),
]
Rounds = list[list[Block]]


def plan(repeats: int = 20, seed: int = 3, first_pair: int = 0, block: int = BLOCK) -> Rounds:
    return list(rounds(CONTRASTS, repeats, seed, first_pair, block=block))


def arms(block: Block) -> list[str]:
    return [planned.arm for planned in block]


def test_every_contrast_is_in_every_round_once() -> None:
    for blocks in plan():
        found = [arm for block in blocks for arm in arms(block) if arm != BASELINE]
        assert sorted(found) == sorted(contrast.arm for contrast in CONTRASTS)


def test_there_are_as_many_rounds_as_repeats() -> None:
    assert len(plan(repeats=7)) == 7


def test_one_trial_of_the_baseline_serves_up_to_three_arms() -> None:
    sizes = {len(block) for blocks in plan() for block in blocks}
    assert sizes == {2, 3, 4}
    assert {trials_in(blocks) for blocks in plan()} == {9}
    assert all(arms(block).count(BASELINE) == 1 for blocks in plan() for block in blocks)


def test_the_trials_of_a_block_share_seed_number_and_kind() -> None:
    for blocks in plan():
        for block in blocks:
            assert len({(one.seed, one.pair, one.kind) for one in block}) == 1


def test_a_run_that_shared_no_baseline_is_planned_as_it_was() -> None:
    order = random.Random("3/0/0")
    indices = list(range(len(CONTRASTS)))
    order.shuffle(indices)
    expected = []
    for index in indices:
        pair = [(BASELINE, index), (CONTRASTS[index].arm, index)]
        expected.append(pair if order.random() < 0.5 else pair[::-1])
    assert [[(one.arm, one.pair) for one in block] for block in plan(1, block=1)[0]] == expected


def test_a_block_is_measured_for_its_open_arms_alone() -> None:
    (blocks,) = plan(1)
    kept = [only(block, ["fast", CONTROL]) for block in blocks]
    assert sorted(arm for block in kept for arm in arms(block)) == [
        BASELINE, BASELINE, CONTROL, "fast",
    ]  # fmt: skip
    assert [] in kept


def test_a_round_shares_a_seed_and_every_round_has_the_next() -> None:
    seeds = [{one.seed for block in blocks for one in block} for blocks in plan(4, seed=10)]
    assert seeds == [{10}, {11}, {12}, {13}]


def test_a_block_is_of_one_stage() -> None:
    (blocks,) = rounds(CONTRASTS, 1, 0, stage="confirm")
    assert {one.stage for block in blocks for one in block} == {"confirm"}


def test_the_blocks_of_one_run_have_numbers_of_their_own() -> None:
    numbers = [block[0].pair for blocks in plan(5) for block in blocks]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < 5 * len(CONTRASTS)


def test_later_blocks_begin_where_they_are_told() -> None:
    numbers = {block[0].pair for blocks in plan(2, first_pair=30) for block in blocks}
    assert min(numbers) >= 30
    assert max(numbers) < 30 + 2 * len(CONTRASTS)


@pytest.mark.parametrize("arm", ["fast", "small", CONTROL])
def test_the_baseline_comes_first_about_half_of_the_time(arm: str) -> None:
    firsts = [
        arms(block).index(BASELINE) < arms(block).index(arm)
        for blocks in plan(100)
        for block in blocks
        if arm in arms(block)
    ]
    assert 30 <= sum(firsts) <= 70


def test_ordered_contrasts_share_blocks_with_their_neighbours() -> None:
    seven = [Contrast(name, recipe(name), recipe(), "full") for name in "abcdefg"]
    seen = set()
    for blocks in rounds(seven, 20, 0, ordered=True):
        found = {frozenset(arms(block)) - {BASELINE} for block in blocks}
        assert found == {frozenset("abc"), frozenset("def"), frozenset("g")}
        seen |= {tuple(arms(block)) for block in blocks}
    assert len(seen) > 20  # in random order


def test_contrasts_change_places_between_rounds() -> None:
    assert len({next(a for a in arms(blocks[0]) if a != BASELINE) for blocks in plan(30)}) >= 4


def test_a_plan_follows_from_its_seed() -> None:
    assert plan(seed=5) == plan(seed=5)
    assert plan(seed=5) != plan(seed=6)


def test_a_baseline_runs_the_recipe_without_techniques() -> None:
    trials = [one for blocks in plan(3) for block in blocks for one in block]
    assert all(one.recipe == recipe() for one in trials if one.arm in (BASELINE, CONTROL))
    assert all(one.recipe == recipe("fast") for one in trials if one.arm == "fast")
