"""A screening chooses and leaves arms after few pairs; fresh pairs judge what it chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench.analysis.comparison import compare_run
from bench.analysis.evidence import Evidence
from bench.analysis.levels import Rule, looks_of, rule_of
from bench.analysis.noise import unequal
from bench.analysis.objectives import BY_NAME
from bench.analysis.pairs import again
from bench.analysis.results import ArmResult
from bench.analysis.screening import (
    FAILED,
    FIRST,
    HOPED,
    LOSES,
    MOST,
    NO_GAIN,
    OVER,
    SLOWER,
    WORSE,
    Own,
    Screened,
    Standing,
    screen,
)
from bench.analysis.sequential import Objective, Quality
from bench.analysis.unconfirmed import after_screening
from bench.analysis.verdict import Verdict
from bench.records.measurement import BASELINE, CONTROL, Measurement
from bench.run.open_arms import has_won, next_round, seen_by
from tests.records import LOSSES, MIB, failed, header, measurement, paired

TIME = BY_NAME["time"]
HEAD = header(
    mode="full-optimization", first=4, repeats=30, screening=(FIRST, MOST), raced={"test": 3}
)
KEPT = (0.001, -0.001, 0.002, 0.0, -0.002, 0.0)


def arm(logs: Sequence[float], changes: Sequence[float] | None = None) -> Own:
    """Return an arm of these log gains in time, and these changes of the metric."""
    quality = Quality(np.array(changes or KEPT[: len(logs)]), margin=0.01, floor=0.001)
    failed = np.zeros(len(logs), bool)
    return Own("step", Evidence((TIME,), (Objective("time", np.array(logs)),), quality, failed))


def standing(**arms: Own) -> dict[str, Screened]:
    return screen(arms, FIRST, MOST)


def test_two_pairs_choose_what_gains_far_beyond_the_spread_of_all_and_leave_what_does_not() -> None:
    found = standing(fast=arm([0.4, 0.42]), idle=arm([0.0, 0.01]), again=arm([0.01, -0.01]))
    assert found["fast"] == Screened(Standing.CHOSEN, 2, ("faster",), worth=True)
    assert found["idle"] == Screened(Standing.LEFT, 2, why=NO_GAIN)


def test_two_equal_pairs_are_not_taken_for_exact_where_others_spread() -> None:
    noisy = {f"n{k}": arm([0.3 * k, -0.3]) for k in range(4)}
    assert standing(lucky=arm([0.08, 0.08]), **noisy)["lucky"].standing is Standing.OPEN


def test_what_is_likely_to_lose_the_metric_is_left_however_fast_it_is() -> None:
    lossy = arm([0.5, 0.5], [-0.05, -0.06])
    assert standing(lossy=lossy, other=arm([0.0, 0.0]))["lossy"] == Screened(
        Standing.LEFT, 2, why=LOSES
    )


def test_the_last_look_leaves_nothing_open() -> None:
    noisy = {f"n{k}": arm([0.5, -0.4, 0.6, -0.5, 0.55, sign]) for k, sign in enumerate((0.3, -0.9))}
    found = standing(**noisy)
    assert found["n0"] == Screened(Standing.CHOSEN, MOST, ("faster",), why=HOPED)
    assert found["n1"] == Screened(Standing.LEFT, MOST, why=NO_GAIN)


def test_the_last_round_leaves_nothing_open_though_a_baseline_failed_in_one() -> None:
    records = paired("quick", np.exp([0.5, -0.4, 0.6, -0.5, 0.55, 0.3]).tolist())
    records[-2] = failed(BASELINE, MOST - 1)
    assert seen_by(HEAD, records)["quick"] == Screened(
        Standing.CHOSEN, MOST - 1, ("faster",), why=HOPED
    )
    assert seen_by(HEAD, records[:-2])["quick"].standing is Standing.OPEN


def one_pair(equal: Sequence[float], **logs: float) -> dict[str, Screened]:
    """Screen arms of one pair each, beside trials of the baseline that differ by so much."""
    samples = {"time": [np.array(equal)]}
    return standing(**{
        name: arm([log])._replace(equal=samples, cpu=[np.exp(log)]) for name, log in logs.items()
    })  # fmt: skip


def test_one_pair_leaves_what_is_far_slower_where_another_is_far_faster() -> None:
    found = one_pair([0.0, 0.02, -0.02, 0.01], fast=0.5, slow=-0.4, unsure=0.03)
    assert found["fast"] == Screened(Standing.CHOSEN, 1, ("faster",), worth=True)
    assert found["slow"] == Screened(Standing.LEFT, 1, why=SLOWER)
    assert found["unsure"].standing is Standing.OPEN


def test_one_pair_leaves_nothing_that_took_no_more_of_the_cpu_as_a_burst_may_have_slowed_it() -> (
    None
):
    samples = {"time": [np.array([0.0, 0.02, -0.02, 0.01])]}
    fast, slow = arm([0.5]), arm([-0.4])
    for cpu, standing_ in (([0.99], Standing.OPEN), ([], Standing.OPEN), ([0.7], Standing.LEFT)):
        found = standing(
            fast=fast._replace(equal=samples), slow=slow._replace(equal=samples, cpu=cpu)
        )
        assert found["slow"].standing is standing_


def test_what_is_slower_is_waited_for_where_none_is_faster_as_it_may_win_otherwise() -> None:
    time, memory = arm([-0.4, -0.41]), arm([0.0, 0.09])
    both = Evidence(
        (TIME, BY_NAME["memory"]),
        (*time.found.objectives, Objective("memory", memory.found.objectives[0].logs)),
        time.found.quality, time.found.failed,
    )  # fmt: skip
    small, again = Own("step", both), arm([0.0, 0.01])
    assert standing(small=small, again=again)["small"].standing is Standing.OPEN
    rivalled = standing(small=small, again=again, fast=arm([0.5, 0.51]))
    assert rivalled["small"] == Screened(Standing.LEFT, 2, why=SLOWER)


def test_one_pair_decides_nothing_where_equal_trials_are_not_known_or_differ_as_much() -> None:
    for equal in ([0.0], [0.0, 0.3, -0.3, 0.2]):
        found = one_pair(equal, fast=0.5, slow=-0.4)
        assert {one.standing for one in found.values()} == {Standing.OPEN}


def test_one_pair_is_enough_for_no_arm_whose_metric_fell_by_half_the_margin() -> None:
    samples = {"time": [np.array([0.0, 0.01, -0.01])]}
    found = standing(fast=arm([0.5], [-0.006])._replace(equal=samples))
    assert found["fast"].standing is Standing.OPEN


def test_one_pair_over_a_limit_is_enough_for_no_arm() -> None:
    samples = {"time": [np.array([0.0, 0.02, -0.02, 0.01])]}
    fast = arm([0.5])._replace(equal=samples)
    assert standing(fast=fast._replace(over=[False]))["fast"].standing is Standing.CHOSEN
    assert standing(fast=fast._replace(over=[True]))["fast"].standing is Standing.OPEN
    twice = arm([0.5, 0.52])
    for over, expected in (([True, False], Standing.CHOSEN), ([True, True], Standing.OPEN)):
        assert standing(fast=twice._replace(over=over))["fast"].standing is expected


def test_what_gains_but_can_not_be_had_is_left_for_that_and_not_for_want_of_a_gain() -> None:
    gains = [0.4] * MOST
    lossy = arm(gains, [-0.05, 0.02, -0.04, 0.02, -0.05, 0.02])  # on average, not surely
    broken = arm([np.nan, *gains[1:]])
    broken = broken._replace(found=broken.found._replace(failures=np.eye(MOST)[0]))
    over = arm(gains)._replace(over=[True] * MOST)
    for own, why in ((lossy, WORSE), (broken, FAILED), (over, OVER)):
        found = standing(own=own)["own"]
        assert found == Screened(Standing.LEFT, MOST, why=f"faster, but {why}")
        before = ArmResult(arm="own", verdict=Verdict.UNDECIDED, reason="", pairs=MOST)
        after = after_screening(before, found)
        assert (after.verdict, after.reason) == (
            Verdict.UNLIKELY, f"faster, but {why} after 6 pairs"
        )  # fmt: skip


def test_what_is_chosen_is_within_its_limit_by_the_median() -> None:
    asked = {"objectives": ("memory",), "times_baseline": {"time": 1.05}}
    for times, expected in (((1.2, 1.04), Standing.OPEN), ((1.2, 1.04, 1.03), Standing.CHOSEN)):
        pairs = len(times)
        records = paired(
            "small", [1 / time for time in times], savings=(1.5, 1.52, 1.51)[:pairs],
            losses_of_metric=KEPT[:pairs],
        )  # fmt: skip
        records += paired(CONTROL, (1.0, 1.004), first=100)
        found = seen_by(HEAD.model_copy(update=asked), records)["small"]
        assert (found.standing, found.pairs) == (expected, pairs)


def test_how_far_equal_losses_differ_is_told_by_all_a_screening_s_trials_of_the_baseline() -> None:
    def losses(by: float) -> dict[str, Any]:
        return {"losses": tuple(loss * (1 - by) for loss in LOSSES)}

    records = [measurement(pair=20), measurement(CONTROL, 20, **losses(0.001))]
    for pair, seed in ((0, 0), (2, 1)):
        exact: dict[str, Any] = {"effect": "exact", "work": "same work", "seed": seed}
        records += [
            measurement(pair=pair, seed=seed),
            measurement("fast", pair, seconds=0.6, metric=0.6, **exact, **losses(0.008)),
            measurement(pair=pair + 1, seed=seed, **losses(0.001)),
        ]
    # by the control's pair alone, losses may differ by 0.011
    assert seen_by(HEAD, records)["fast"] == Screened(Standing.LEFT, 2, why=LOSES)


def test_what_is_smaller_is_not_chosen_by_that_where_memory_is_only_limited() -> None:
    records = paired("small", (1.0, 1.12), savings=(1.5, 1.52), losses_of_metric=KEPT[:2])
    records += paired(CONTROL, (1.0, 1.004), first=100)
    for limit, expected, gains in (
        (60, Standing.OPEN, ()), (40, Standing.CHOSEN, ("smaller",)),
    ):  # fmt: skip
        asked = {"objectives": ("time",), "limits": {"memory": float(limit * MIB)}}
        found = seen_by(HEAD.model_copy(update=asked), records)["small"]
        assert (found.standing, found.gains) == (expected, gains)


def test_what_no_pair_knows_is_not_called_unlikely() -> None:
    unknown = np.full(MOST, np.nan)
    both = Evidence(
        (TIME, BY_NAME["inference time"]),
        (Objective("time", np.array([0.001, -0.001] * 3)), Objective("inference time", unknown)),
        Quality(np.array(KEPT), margin=0.01, floor=0.001), np.zeros(MOST, bool),
    )  # fmt: skip
    (slim,) = standing(slim=Own("step", both)).values()
    assert slim == Screened(Standing.LEFT, MOST, why="its inference time is not known")


def test_what_one_look_decided_stays_whatever_the_others_show_later() -> None:
    early = {"fast": arm([0.4, 0.42]), "other": arm([0.0, 0.01])}
    later = early | {"other": arm([0.0, 0.01, 2.0, -2.0, 2.0, -2.0])}
    assert standing(**early)["fast"] == standing(**later)["fast"]


@pytest.mark.parametrize(
    ("gain", "spread", "least", "most"),
    [(1.0, 0.02, 0.0, 0.06), (1.0, 0.1, 0.0, 0.2), (1.1, 0.02, 0.97, 1.0), (1.3, 0.1, 0.97, 1.0)],
)
def test_arms_are_chosen_as_often_as_their_gains_deserve(
    gain: float, spread: float, least: float, most: float
) -> None:
    """Among eight that gain nothing, in noise that differs from arm to arm."""
    random = np.random.default_rng(1)
    chosen = pairs = 0
    for _ in range(100):
        gains = [1.0] * 8 + [gain]
        logs = [
            random.normal(np.log(one), spread * random.choice([0.7, 1.0, 1.5]), MOST)
            for one in gains
        ]
        equal = {"time": [*random.normal(0, spread / np.sqrt(2), (MOST, 3))]}
        arms = {str(k): arm(one.tolist())._replace(equal=equal) for k, one in enumerate(logs)}
        seen = standing(**arms)["8"]
        chosen += seen.standing is Standing.CHOSEN
        pairs += seen.pairs
    assert least <= chosen / 100 <= most
    assert pairs / 100 <= 5


def trials(rounds: int, **arms: Sequence[float]) -> list[Measurement]:
    found = []
    for index, (name, gains) in enumerate(arms.items()):
        lost = KEPT[:rounds]
        found += paired(
            CONTROL if name == "control" else name, gains[:rounds], losses_of_metric=lost,
            first=100 * index,
        )  # fmt: skip
    return found


def test_a_run_measures_no_more_of_what_its_screening_is_done_with() -> None:
    records = trials(
        2, quick=(1.5, 1.52), idle=(1.0, 1.002), unsure=(1.0, 1.12), control=(1.0, 1.004)
    )
    arms = ["quick", "idle", "unsure", CONTROL]
    rule = rule_of(HEAD)
    assert rule == Rule(2, MOST, 0.05, 3)
    assert rule_of(HEAD, "confirm").first == 4
    assert looks_of(HEAD, rule) == (FIRST, MOST)
    assert looks_of(HEAD, rule_of(HEAD, "confirm"), "confirm") == (4, 30)
    choice = next_round(HEAD, records, arms, 2, rule, "test", 0.0)
    assert choice.measured == ["unsure"]
    assert has_won(HEAD, records, arms, "test")


def test_a_budget_that_pays_for_a_screening_s_last_look_measures_all_that_is_open() -> None:
    records = trials(2, unsure=(1.0, 1.12), other=(1.12, 1.0), control=(1.0, 1.004))
    head = HEAD.model_copy(update={"budget_seconds": 120.0})
    arms = ["unsure", "other", CONTROL]
    choice = next_round(head, records, arms, 2, rule_of(head), "test", 30.0)
    assert (sorted(choice.measured), choice.left) == (["other", "unsure"], [])


def test_what_is_chosen_is_screened_and_what_is_left_unlikely_until_fresh_pairs_tell() -> None:
    records = trials(2, quick=(1.5, 1.52), idle=(1.0, 1.002), control=(1.0, 1.004))
    quick, idle = compare_run(HEAD, records, []).arms
    assert (quick.verdict, quick.gains) == (Verdict.SCREENED, ("faster",))
    assert quick.reason == "likely faster"
    assert (idle.verdict, idle.goes_on) == (Verdict.UNLIKELY, False)
    assert idle.reason == "a gain of 5 % is not likely after 2 pairs"
    without = HEAD.model_copy(update={"screening": None})
    assert {a.verdict for a in compare_run(without, records, []).arms} == {Verdict.UNDECIDED}


def test_what_six_pairs_only_hope_of_is_not_called_likely() -> None:
    arm = ArmResult(arm="a", verdict=Verdict.UNDECIDED, reason="", pairs=MOST)
    found = after_screening(arm, Screened(Standing.CHOSEN, MOST, ("faster",), why=HOPED))
    assert found.reason == "faster by over 5 % in the mean of its pairs, which may be chance"


def test_an_arm_of_which_a_training_failed_is_not_chosen() -> None:
    records = trials(2, quick=(1.5, 1.52), control=(1.0, 1.004))
    broken = [failed("quick", pair=t.pair) if t.arm == "quick" and t.pair == 1 else t
              for t in records]  # fmt: skip
    (quick,) = compare_run(HEAD, broken, []).arms
    assert quick.verdict is Verdict.UNDECIDED


def test_two_trials_of_the_baseline_in_one_round_of_a_screening_are_a_pair_of_it() -> None:
    records = [*paired(CONTROL, (1.0,)), *paired("fast", (2.0,), first=3)]
    records += [measurement(pair=pair, seconds=1.02) for pair in (4, 5)]
    alike = [one.model_copy(update={"seed": 0}) for one in records]
    pairs = [(b.pair, c.pair) for b, c in again(alike, screening=True)]
    assert pairs == [(0, 0), (3, 4)]  # each trial in one pair
    assert [(b.pair, c.pair) for b, c in again(records, screening=True)] == [(0, 0)]
    assert [(b.pair, c.pair) for b, c in again(alike)] == [(0, 0)]
    found = compare_run(HEAD.model_copy(update={"raced": {"test": 1}}), alike, ()).control
    assert found is not None
    assert found.pairs == 2


def test_a_search_whose_baseline_differs_from_itself_is_named() -> None:
    def rounds(slow: float) -> list[Measurement]:
        each = [measurement(pair=pair, seconds=slow if pair % 2 else 1.0) for pair in range(2, 14)]
        found = [*paired(CONTROL, (1.0 / slow,), first=1), *each]
        return [one.model_copy(update={"seed": 0}) for one in found]

    assert unequal(HEAD, rounds(1.0)) is None
    said = unequal(HEAD, rounds(0.7))
    assert said is not None
    assert "1.43x as fast as itself (A/A)" in said
