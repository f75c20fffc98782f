"""What is expected of arms before any pair: by their rehearsed steps and the baseline's profile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from bench.recipes.script import ScriptSettings
from bench.records.measurement import BASELINE, CONTROL, Measurement
from bench.records.profile import Profile
from bench.records.recipe import Recipe
from bench.run.plan import BLOCK, Contrast, Kind
from bench.run.prospects import CHANCE, REMOTE, SURE, Prospect, prospects, ranked
from tests.records import header, measurement, recipe

PROFILED = measurement(
    BASELINE, kind="step", seconds=10.0, items=80, items_seen=80, step_seconds=(1.0,) * 10,
    window_seconds=10.0, planned_epochs=4, epoch_items=160, wall_seconds=12.0, profile=Profile(),
)  # fmt: skip
"""Of a training of 80 steps of a second."""


BUDGET = header(budget_seconds=600.0)


def rehearsed(arm: str, step: float, **facts: Any) -> Measurement:
    return measurement(
        arm, **{"planned_epochs": 4, "epoch_items": 160, "wall_seconds": 5.0,
                "step_seconds": (2 * step, step), "touches": None, **facts}
    )  # fmt: skip


def contrast(arm: str, kind: Kind = "full") -> Contrast:
    return Contrast(arm, recipe(arm), recipe(), kind)


def found(
    contrasts: Sequence[Contrast], known: Sequence[Measurement],
    probed: Sequence[Measurement] = (PROFILED,),
) -> dict[str, Prospect]:  # fmt: skip
    return prospects(BUDGET, "test", contrasts, known, probed)


def expected(arm: str, step: float, kind: Kind = "full", **facts: Any) -> Prospect:
    known = [rehearsed(BASELINE, 1.0), rehearsed(arm, step, **facts)]
    return found([contrast(arm, kind)], known)[arm]


def test_a_pair_is_a_training_at_the_rehearsed_pace_and_a_share_of_the_baseline_s() -> None:
    one = expected("fast", 0.5)
    assert one.seconds == pytest.approx(40 + 5 + (80 + 5) / BLOCK)
    assert one.promise == pytest.approx((math.log(2) + CHANCE) / one.seconds)


def test_without_a_profile_rehearsed_steps_tell_how_long_a_training_takes() -> None:
    plain = rehearsed(BASELINE, 1.0, recipe=recipe(batch_size=8).model_dump(mode="json"))
    half = rehearsed("half", 1.0, epoch_items=80)
    these = found([contrast("half")], [plain, half], probed=())
    assert these["half"].seconds == pytest.approx(40 + 5 + (80 + 5) / BLOCK)
    bare = plain.model_copy(update={"recipe": {**plain.recipe, "settings": {}}})
    assert found([contrast("half")], [bare, half], probed=()) == {}


def test_of_steps_alone_a_pair_is_as_long_as_the_profile() -> None:
    assert expected("fast", 0.5, "step").seconds == pytest.approx(6 + 12 / BLOCK)


@pytest.mark.parametrize(
    ("step", "steps", "stepping"), [(0.1, None, 3.0), (1.0, None, 15.0), (0.1, 20, 2.0)]
)
def test_a_script_steps_on_beyond_its_rehearsal(
    step: float, steps: int | None, stepping: float
) -> None:
    settings = ScriptSettings(data_dir=".", script="train.py", steps=steps)
    own = Recipe(
        baseline="train.py:__main__", settings=settings.model_dump(mode="json"),
        files={"train.py": "0" * 64},
    )  # fmt: skip
    alone = {"planned_epochs": None, "recipe": own.model_dump(mode="json")}
    known = [rehearsed(BASELINE, step, **alone), rehearsed("fast", step / 2, **alone)]
    these = found([contrast("fast", "step"), contrast(CONTROL, "step")], known, [])
    whole = 5 + stepping
    assert these["fast"].seconds == pytest.approx(whole / 2 + whole / BLOCK)
    assert these[CONTROL].seconds == pytest.approx(whole + whole / BLOCK)
    assert found([contrast("fast", "step"), contrast(CONTROL)], known, []) == {}


def test_fewer_items_an_epoch_are_less_work_and_larger_batches_fewer_steps() -> None:
    half = rehearsed("half", 1.0, epoch_items=80)
    wide = rehearsed("wide", 1.5, recipe=recipe("wide", batch_size=16).model_dump(mode="json"))
    plain = rehearsed(BASELINE, 1.0, recipe=recipe(batch_size=8).model_dump(mode="json"))
    arms = [contrast("half"), contrast("wide")]
    these = found(arms, [plain, half, wide])
    assert these["half"].seconds == pytest.approx(40 + 5 + (80 + 5) / BLOCK)
    assert these["wide"].seconds == pytest.approx(80 * 1.5 / 2 + 5 + (80 + 5) / BLOCK)


def test_a_rehearsed_step_is_not_believed_beyond_reason() -> None:
    one = expected("odd", 1e-6)
    assert one.promise * one.seconds == pytest.approx(math.log(SURE) + CHANCE)


def test_what_is_slower_may_yet_gain_otherwise() -> None:
    one = expected("slow", 2.0)
    assert one.promise * one.seconds == pytest.approx(CHANCE)


@pytest.mark.parametrize("touches", [(), ("inference",)])
def test_what_takes_nothing_away_comes_last(touches: tuple[str, ...]) -> None:
    one = expected("ema", 0.5, touches=touches)
    assert one.promise * one.seconds == pytest.approx(REMOTE)
    assert expected("cast", 0.5, touches=("forward",)).promise > one.promise


def test_what_promises_most_comes_first_beside_the_control() -> None:
    known = {"small": Prospect(1.0, 0.1), "large": Prospect(9.0, 0.4)}
    assert ranked(["small", "unknown", "large", CONTROL], known) == [
        CONTROL, "large", "small", "unknown"
    ]  # fmt: skip
    assert ranked(["small", CONTROL], {}) == []


def test_nothing_is_expected_without_a_profile_or_a_rehearsal() -> None:
    known = [rehearsed(BASELINE, 1.0)]
    assert found([contrast("fast")], known, []) == {}
    assert found([contrast("fast")], known) == {}
    assert found([contrast("fast")], []) == {}


def test_nothing_is_expected_where_no_budget_is_to_be_spent() -> None:
    known = [rehearsed(BASELINE, 1.0), rehearsed("fast", 0.5)]
    arms = [contrast("fast")]
    assert {*prospects(BUDGET, "test", arms, known, [PROFILED])} == {"fast", CONTROL}
    assert prospects(BUDGET, "confirm", arms, known, [PROFILED]) == {}
    assert prospects(header(), "test", arms, known, [PROFILED]) == {}
