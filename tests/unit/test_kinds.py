"""Where what is asked leaves no choice between steps and whole trainings, all trials are alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from bench.baseline import Baseline
from bench.errors import BenchError
from bench.recipes.script import ScriptBaseline, ScriptSettings
from bench.records.recipe import Recipe
from bench.run.kinds import check_told, only_kind
from bench.run.plan import Contrast
from tests.records import header, measurement, recipe
from tests.unit.test_combining import Machine, session

PLAIN = cast(Baseline, None)
SCRIPT = ScriptBaseline("train.py")
UNPLANNED: dict[str, Any] = {"planned_epochs": None}
STREAM: dict[str, Any] = {"data": None}


def script(metric: str | None) -> Recipe:
    settings = ScriptSettings(data_dir=".", script="train.py", metric=metric)
    return Recipe(
        baseline="train.py:__main__",
        settings=settings.model_dump(mode="json"),
        files={"train.py": "0" * 64},
    )


@pytest.mark.parametrize(
    ("limits", "facts", "kind"),
    [
        ({"limits": {"time": 60.0}}, UNPLANNED, "full"),
        ({"times_baseline": {"time": 1.2}}, UNPLANNED, "full"),
        ({"limits": {"time": 60.0}}, STREAM, "full"),
        ({"limits": {"time": 60.0}}, {}, None),
        ({"limits": {"memory": 1e9}}, UNPLANNED, None),
        ({}, UNPLANNED, None),
    ],
)
def test_whole_trainings_tell_a_limit_on_time_where_nothing_plans_their_steps(
    limits: dict[str, Any], facts: dict[str, Any], kind: str | None
) -> None:
    rehearsed = [measurement("compile"), measurement(kind="build", **facts)]
    assert only_kind(header(**limits), PLAIN, recipe(), rehearsed) == kind


def test_a_script_without_a_metric_only_steps_whatever_is_limited() -> None:
    limits, rehearsed = header(times_baseline={"time": 1.2}), [measurement(**UNPLANNED)]
    assert only_kind(limits, SCRIPT, script(None), rehearsed) == "step"
    assert only_kind(limits, SCRIPT, script("loss: (.*)"), rehearsed) == "full"


def test_a_run_that_limits_time_makes_whole_trainings_of_what_plans_no_epochs(
    tmp_path: Path,
) -> None:
    made, machine, _ = session(tmp_path, Machine({}), limits={"time": 60.0})
    made.rehearsed.append(measurement(kind="build", **UNPLANNED))
    made.measure([Contrast("compile", recipe("compile"), recipe(), "step")])
    assert {trial.kind for trial in machine.asked} == {"full"}


def test_a_limit_that_no_step_tells_is_refused_where_trials_only_step() -> None:
    said = (
        "train names no metric, so its trials only make steps, which don't tell the time of a "
        "whole training: name its metric, or limit that by a multiple of the baseline's, as "
        "--limit time=1.2x"
    )
    with pytest.raises(BenchError) as raised:
        check_told({"memory": 1e9, "time": 60.0}, SCRIPT, script(None))
    assert str(raised.value) == said
    with pytest.raises(BenchError, match="which don't tell the energy of a whole training"):
        check_told({"energy": 1000.0}, SCRIPT, script(None))
    check_told({"memory": 1e9}, SCRIPT, script(None))
    check_told({"time": 60.0}, SCRIPT, script("loss: (.*)"))
    check_told({"time": 60.0}, PLAIN, recipe())
