"""A screening chooses and leaves arms after few pairs; fresh pairs judge what it chose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bench.analysis.comparison import compare_run
from bench.analysis.evidence import Evidence
from bench.analysis.levels import Rule, rule_of
from bench.analysis.objectives import BY_NAME
from bench.analysis.screening import FIRST, MOST, Own, Screened, Standing, screen
from bench.analysis.sequential import Objective, Quality
from bench.analysis.verdict import Verdict
from bench.records.measurement import CONTROL, Measurement
from bench.run.open_arms import has_won, next_round
from tests.records import failed, header, paired

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
    assert found["fast"] == Screened(Standing.CHOSEN, 2, ("faster",))
    assert found["idle"] == Screened(Standing.LEFT, 2)


def test_two_equal_pairs_are_not_taken_for_exact_where_others_spread() -> None:
    noisy = {f"n{k}": arm([0.3 * k, -0.3]) for k in range(4)}
    assert standing(lucky=arm([0.08, 0.08]), **noisy)["lucky"].standing is Standing.OPEN


def test_what_is_likely_to_lose_the_metric_is_left_however_fast_it_is() -> None:
    lossy = arm([0.5, 0.5], [-0.05, -0.06])
    assert standing(lossy=lossy, other=arm([0.0, 0.0]))["lossy"] == Screened(
        Standing.LEFT, 2, loses=True
    )


def test_the_last_look_leaves_nothing_open() -> None:
    noisy = {f"n{k}": arm([0.5, -0.4, 0.6, -0.5, 0.55, sign]) for k, sign in enumerate((0.3, -0.9))}
    found = standing(**noisy)
    assert found["n0"] == Screened(Standing.CHOSEN, MOST, ("faster",))
    assert found["n1"] == Screened(Standing.LEFT, MOST)


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
        seen = standing(**{str(k): arm(one.tolist()) for k, one in enumerate(logs)})["8"]
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
    assert rule == Rule(FIRST, MOST, 0.05, 3)
    assert rule_of(HEAD, "confirm").first == 4
    choice = next_round(HEAD, records, arms, 2, rule, "test", 0.0)
    assert choice.measured == ["unsure", CONTROL]
    assert has_won(HEAD, records, arms, "test")


def test_what_is_chosen_is_screened_and_what_is_left_unlikely_until_fresh_pairs_tell() -> None:
    records = trials(2, quick=(1.5, 1.52), idle=(1.0, 1.002), control=(1.0, 1.004))
    quick, idle = compare_run(HEAD, records, []).arms
    assert (quick.verdict, quick.gains) == (Verdict.SCREENED, ("faster",))
    assert quick.reason == "likely faster: fresh pairs tell"
    assert (idle.verdict, idle.goes_on) == (Verdict.UNLIKELY, False)
    assert idle.reason == "a gain of 5 % is not likely after 2 pairs"
    without = HEAD.model_copy(update={"screening": None})
    assert {a.verdict for a in compare_run(without, records, []).arms} == {Verdict.UNDECIDED}


def test_an_arm_of_which_a_training_failed_is_not_chosen() -> None:
    records = trials(2, quick=(1.5, 1.52), control=(1.0, 1.004))
    broken = [failed("quick", pair=t.pair) if t.arm == "quick" and t.pair == 1 else t
              for t in records]  # fmt: skip
    (quick,) = compare_run(HEAD, broken, []).arms
    assert quick.verdict is Verdict.UNDECIDED
