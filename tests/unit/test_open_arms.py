"""Which arms the next round measures, and what is fixed before the first trial."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.levels import Rule, rule_of
from bench.cli.verify import request
from bench.errors import BenchError
from bench.records.measurement import BASELINE, CONTROL, Measurement, Status
from bench.records.run_folder import Folder
from bench.run.open_arms import Choice, affordable, has_won, left_of, next_round, pays, promising
from bench.run.plan import Planned
from bench.run.prospects import Prospect
from tests.records import claim, exported, failed, header, measurement, paired, recipe

FASTER = (1.48, 1.5, 1.52, 1.49, 1.51, 1.5)
EQUAL = (0.995, 1.005, 1.0, 1.002, 0.998, 1.0)
NOISY = (0.8, 1.3, 1.0, 1.2, 0.9, 1.1)
KEPT = (0.001, -0.001, 0.002, 0.0, -0.002, 0.0)
AUTO: dict[str, Any] = {"first": 4, "repeats": 30, "raced": {"test": 2}}


def trials(rounds: int, **arms: Sequence[float]) -> list[Measurement]:
    found = []
    for index, (arm, gains) in enumerate(arms.items()):
        name = CONTROL if arm == "control" else arm
        lost = KEPT[:rounds]
        found += paired(name, gains[:rounds], losses_of_metric=lost, first=100 * index)
    return found


def chosen(records: Sequence[Measurement], number: int, spent: float = 0.0, **facts: Any) -> Choice:
    head = header(**{**AUTO, **facts})
    arms = ["quick", "noisy", CONTROL]
    return next_round(head, records, arms, number, rule_of(head), "test", spent)


def test_the_first_rounds_measure_everything() -> None:
    assert chosen([], 0) == Choice(["quick", "noisy", CONTROL], [])
    records = trials(3, quick=FASTER, noisy=NOISY, control=EQUAL)
    assert chosen(records, 3).measured == ["quick", "noisy", CONTROL]


def test_an_arm_that_is_decided_is_measured_no_more() -> None:
    records = trials(4, quick=FASTER, noisy=NOISY, control=EQUAL)
    assert chosen(records, 4) == Choice(["noisy", CONTROL], [])


def test_an_arm_that_the_screening_decided_is_open_to_be_confirmed() -> None:
    records, head = trials(4, quick=FASTER, control=EQUAL), header(**AUTO)
    choice = next_round(head, records, ["quick", CONTROL], 0, rule_of(head), "confirm", 0.0)
    assert choice.measured == ["quick", CONTROL]


def test_the_control_stays_for_ten_rounds() -> None:
    records = trials(4, quick=FASTER, noisy=NOISY, control=EQUAL)
    assert chosen(records, 9).measured == ["noisy", CONTROL]
    assert chosen(records, 10).measured == ["noisy"]


def test_what_a_screening_had_a_control_for_is_confirmed_without_another() -> None:
    head = header(**AUTO, mode="full-optimization", screening=(1, 6))
    rule = rule_of(head, "confirm")
    assert rule_of(head).first == 2
    arms = ["quick", CONTROL]
    beside = trials(1, control=EQUAL)
    for records, number, measured in ((beside, 0, ["quick"]), ([], 3, arms), ([], 4, ["quick"])):
        choice = next_round(head, records, arms, number, rule, "confirm", 0.0)
        assert choice.measured == measured


def test_where_every_arm_is_decided_nothing_is_measured() -> None:
    assert chosen(trials(4, quick=FASTER, noisy=FASTER, control=EQUAL), 4) == Choice([], [])


def test_an_arm_of_which_two_trials_failed_and_none_ended_well_is_given_up() -> None:
    records = trials(2, quick=FASTER, control=EQUAL)
    for pair in (500, 501):
        records += [paired("noisy", [1.0], first=pair)[0], failed("noisy", pair, Status.FAILED)]
    assert chosen(records, 2).measured == ["quick", CONTROL]


def test_a_fixed_number_of_pairs_measures_every_arm_to_the_end() -> None:
    records = trials(5, quick=FASTER, noisy=NOISY, control=EQUAL)
    assert chosen(records, 5, first=None, repeats=6).measured == ["quick", "noisy", CONTROL]


def test_a_budget_too_small_for_the_first_look_of_all_goes_to_what_gained_most() -> None:
    records = trials(1, quick=FASTER, noisy=NOISY, control=EQUAL)  # pairs of 3 to 4 s
    assert chosen(records, 1, spent=5.0, budget_seconds=99.0).left == []
    assert chosen(records, 1, spent=5.0, budget_seconds=20.0) == Choice(
        ["quick", CONTROL], ["noisy"]
    )
    assert chosen(records, 1, spent=5.0, budget_seconds=6.0) == Choice([], ["quick", "noisy"])


EXPECTED = {"quick": Prospect(6.0, 0.3), "noisy": Prospect(3.0, 0.4)}


@pytest.mark.parametrize(
    ("budget", "measured"),
    [(20.0, ["quick", "noisy"]), (8.0, ["noisy"]), (1.0, ["noisy"])],
    ids=["for both", "for one", "for none"],
)
def test_the_first_round_is_of_what_is_expected_to_gain_most(
    budget: float, measured: list[str]
) -> None:
    head = header(**{**AUTO, "first": 1, "budget_seconds": budget})
    arms, rule = ["quick", "noisy", CONTROL], Rule(1, 30, 0.05, 2)
    choice = next_round(head, [], arms, 0, rule, "test", 0.0, expected=EXPECTED)
    assert choice.measured == [*measured, CONTROL]
    assert choice.left == [arm for arm in ("quick", "noisy") if arm not in measured]


def test_what_the_control_takes_beside_arms_is_counted_too() -> None:
    head = header(**{**AUTO, "budget_seconds": 40.0})
    arms, rule = ["quick", "noisy", CONTROL], Rule(4, 30, 0.05, 2)
    every = ["quick", "noisy"]  # where it alone takes the budget, they are what it is spent on
    for control, measured in ((0.0, every), (4.0, ["noisy"]), (40.0, every)):
        expected = {**EXPECTED, CONTROL: Prospect(control, math.inf)}
        choice = next_round(head, [], arms, 0, rule, "test", 0.0, expected=expected)
        assert choice.measured == [*measured, CONTROL]


def test_a_part_of_the_budget_is_kept_for_confirming() -> None:
    head = header(mode="full-optimization", budget_seconds=100.0)
    assert left_of(head, [], "test", 10.0) == pytest.approx(50.0)
    assert left_of(head, [], "confirm", 10.0) == pytest.approx(90.0)
    assert left_of(header(budget_seconds=100.0), [], "test", 10.0) == pytest.approx(90.0)
    assert left_of(header(), [], "test", 10.0) is None


@pytest.mark.parametrize(("slower", "until"), [(1.0, 60.0), (8.0, 52.0), (20.0, 40.0)])
def test_enough_is_kept_for_a_first_look_at_what_was_quickest(slower: float, until: float) -> None:
    head = header(mode="full-optimization", budget_seconds=100.0, screening=(1, 6))
    trials = [
        measurement(arm, pair, kind="full", wall_seconds=slower * seconds)
        for pair, arm, seconds in ((0, BASELINE, 1.0), (0, "quick", 0.5), (0, CONTROL, 1.0),
                                   (1, BASELINE, 2.0), (1, "slow", 2.0))
    ]  # fmt: skip
    assert left_of(head, trials, "test", 10.0) == pytest.approx(until - 10.0)
    assert left_of(head, trials, "confirm", 10.0) == pytest.approx(90.0)


def test_a_budget_goes_to_what_gains_most_a_second_whether_it_was_measured_or_not() -> None:
    measured = paired("quick", [1.3])
    hopes, seconds = {"quick": 0.0, "new": 0.1}, {"quick": 1.0, "new": 0.3}
    assert promising(measured, hopes, seconds, 1, 1.0) == ["quick"]
    assert promising(measured, {**hopes, "new": 0.3}, seconds, 1, 1.0) == ["new"]


TOOK = {BASELINE: 10.0, "a": 4.0, "b": 6.0, "slow": 20.0, "b+slow": 15.0, "other": 1.0}


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(("b", "slow"), 15.0), (("a", "b"), 4.0), (("a", "slow"), 8.0), (("a", "b", "slow"), 8.0),
     (("new",), 10.0), ((), 10.0)],
    ids=["measured", "two that won", "one that slows", "a subset known", "unknown", "baseline"],
)  # fmt: skip
def test_a_budget_pays_for_trials_by_what_their_like_and_their_parts_took(
    asked: tuple[str, ...], seconds: float
) -> None:
    records = [measurement(arm, 0, wall_seconds=took) for arm, took in TOOK.items()]
    records += [measurement(arm, 1, wall_seconds=99.0, kind="step") for arm in ("a", "a+b")]
    more = [Planned("new", 7, 0, recipe(*asked), "full")] * 3
    assert pays(records, more, 3 * seconds + 0.1)
    assert not pays(records, more, 3 * seconds - 0.1)
    assert pays(records, more, None)


def test_a_budget_pays_for_what_no_trial_tells_of_while_anything_is_left() -> None:
    more = [Planned("new", 0, 0, recipe("new"), "full")]
    assert pays([], more, 0.0)
    assert not pays([], more, -0.1)


def test_what_is_kept_for_confirming_is_raced_with_while_nothing_has_won() -> None:
    head = header(mode="full-optimization", budget_seconds=100.0, **AUTO)
    assert left_of(head, [], "test", 10.0, won=False) == pytest.approx(75.0)
    records = trials(4, quick=FASTER, noisy=NOISY, control=EQUAL)
    assert has_won(head, records, ["quick", "noisy"], "test")
    assert not has_won(head, records, ["noisy"], "test")


def test_a_spent_budget_leaves_what_is_open() -> None:
    records = trials(4, quick=FASTER, noisy=NOISY, control=EQUAL)
    assert chosen(records, 4, spent=99.0, budget_seconds=10.0) == Choice([], ["noisy"])


def test_a_fixed_test_makes_the_rounds_that_still_fit() -> None:
    fixed: dict[str, Any] = {"first": None, "repeats": 6, "budget_seconds": 10.0}
    assert chosen([], 0, spent=1.0, **fixed).measured == ["quick", "noisy", CONTROL]
    assert chosen([], 0, spent=99.0, **fixed).measured == []
    records = trials(2, quick=FASTER, noisy=NOISY, control=EQUAL)  # rounds of 11.7 s
    fixed["budget_seconds"] = 20.0
    assert chosen(records, 2, spent=9.0, **fixed) == Choice([], ["quick", "noisy", CONTROL])
    assert chosen(records, 2, spent=8.0, **fixed).left == []


def test_a_fixed_test_counts_what_its_own_rounds_took() -> None:
    facts: dict[str, Any] = {"first": None, "repeats": 4, "mode": "full-optimization"}
    head = header(budget_seconds=100.0, **facts)
    rule, arms = rule_of(head, "confirm"), ["quick", CONTROL]
    before = paired("quick", [1.0], first=9, wall_seconds=60.0)
    own = paired("quick", [1.0], stage="confirm", baseline={"stage": "confirm"})
    choice = next_round(head, [*before, *own], arms, 1, rule, "confirm", 72.0)
    assert choice == Choice(arms, [])


def test_a_budget_goes_to_the_arms_that_need_the_fewest_pairs() -> None:
    left, seconds = {"a": 20.0, "b": 3.0, "c": 5.0}, {"a": 1.0, "b": 2.0, "c": 2.0}
    assert affordable(left, seconds, 100.0) == ["b", "c", "a"]
    assert affordable(left, seconds, 17.0) == ["b", "c"]
    assert affordable(left, seconds, 3.0) == ["b"]
    assert affordable(left, seconds, 0.5) == []


def verifying(gains: Sequence[float]) -> list[str]:
    head = header(mode="verify", claim=claim(memory_ratio=None), **AUTO)
    records = trials(len(gains), fast=gains, control=EQUAL)
    return next_round(
        head, records, ["fast", CONTROL], len(gains), rule_of(head), "test", 0
    ).measured


def test_a_claim_is_measured_until_it_holds_or_is_broken() -> None:
    assert verifying(()) == ["fast", CONTROL]
    assert verifying(FASTER[:3]) == ["fast", CONTROL]
    assert verifying(FASTER[:4]) == []
    assert verifying(EQUAL[:4]) == []
    assert verifying((2.9, 0.8, 1.9, 1.1)) == ["fast", CONTROL]


def test_a_recipe_is_verified_on_seeds_that_it_was_not_chosen_by(tmp_path: Path) -> None:
    file = tmp_path / "optimized.json"
    made = exported("fast", claim=claim(seed=3, repeats=60))
    file.write_text(made.model_dump_json())
    asked = request(file, None, "auto", "cpu", None, tmp_path)
    assert (asked.seed, asked.repeats) == (63, None)


def test_a_verification_is_recorded_as_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "optimized.json"
    file.write_text(exported("fast").model_dump_json())
    words = ["bench", "verify", str(file), "--output", "again", "--data-dir", "there"]
    monkeypatch.setattr("sys.argv", words)
    asked = request(file, Path("there"), "auto", "cpu", None, Path("again"))
    assert asked.command == tuple(words)


def test_among_how_many_arms_the_error_is_shared_is_written_once(tmp_path: Path) -> None:
    head = header(first=4, repeats=30)
    (tmp_path / "run.json").write_text(head.model_dump_json())
    folder = Folder(tmp_path, head)
    folder.race("test", 7, order=["b", "a"])
    folder.race("test", 9, order=["a", "b"])
    folder.race("confirm", 2)
    folder.close()
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["raced"] == {"test": 7, "confirm": 2}
    assert written["order"] == {"test": ["b", "a"]}
    assert (written["first"], written["repeats"], written["alpha"]) == (4, 30, 0.05)
    assert rule_of(folder.header) == Rule(4, 30, 0.05, 7)
    assert rule_of(folder.header, "confirm") == Rule(4, 30, 0.05, 2)


def test_looks_of_which_the_levels_are_not_known_are_refused() -> None:
    with pytest.raises(BenchError, match="looked at after 2 to 60 pairs; this bench knows the"):
        rule_of(header(first=2, repeats=60))


def test_a_run_of_before_the_sequential_rule_is_a_fixed_test() -> None:
    old = header(repeats=6).model_dump(exclude={"first", "alpha", "raced"})
    assert rule_of(header(**old)) == Rule(6, 6, 0.05, 1)
