"""When the cost of setting up is paid back, and what is said where it never is."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis.comparison import compare
from bench.analysis.results import ArmResult
from bench.analysis.screening import LOOKS
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from bench.records.measurement import CONTROL
from tests.records import measurement, paired
from tests.unit.test_compare import FASTER, KEPT, judged


def compiled(**changes: Any) -> ArmResult:
    facts = {"warmup_step_seconds": (8.0, 0.1), "work": "same work", "losses_of_metric": KEPT}
    return judged(paired("compile", FASTER, **{**facts, **changes}))


def test_a_set_up_that_training_never_pays_back_is_no_gain() -> None:
    result = compiled()
    assert result.verdict is Verdict.NO_GAIN
    assert result.planned_steps == 25
    assert result.payback_steps is not None
    assert result.payback_steps > 200
    assert "8.0 s of set-up pay back only after" in result.reason
    assert "this training makes 25" in result.reason


def test_a_set_up_that_training_pays_back_is_a_win() -> None:
    result = compiled(planned_epochs=200)
    assert result.verdict is Verdict.WIN
    assert result.planned_steps == 1000
    assert result.setup_seconds == pytest.approx(7.97, abs=0.1)


def test_steps_are_counted_of_epochs_as_long_as_they_are() -> None:
    assert compiled(epoch_items=16).planned_steps == 10
    assert compiled(epoch_items=40).planned_steps == 25


def test_a_training_that_plans_no_epochs_makes_the_steps_that_it_made_to_its_end() -> None:
    result = compiled(planned_epochs=None)
    assert (result.planned_steps, result.verdict) == (12, Verdict.NO_GAIN)


@pytest.mark.parametrize(("kind", "steps"), [("full", 12), ("step", None)])
def test_steps_alone_are_held_against_a_whole_training_of_the_baseline_where_there_is_one(
    kind: str, steps: int | None
) -> None:
    stepping: dict[str, Any] = {"planned_epochs": None, "kind": "step"}
    trials = paired("compile", FASTER, baseline=stepping, warmup_step_seconds=(8.0, 0.1),
                    work="same work", losses_of_metric=KEPT, **stepping)  # fmt: skip
    whole = measurement(CONTROL, -1, planned_epochs=None, kind=kind)
    (result,) = compare(trials, 0.01, Target("accuracy"), [whole]).arms
    expected = Verdict.NO_GAIN if steps else Verdict.WIN
    assert (result.planned_steps, result.verdict) == (steps, expected)


def test_what_a_screening_chose_is_left_where_its_set_up_is_never_paid_back() -> None:
    facts: dict[str, Any] = {"warmup_step_seconds": (8.0, 0.1), "work": "same work",
                             "losses_of_metric": KEPT}  # fmt: skip
    gains = (1.5, 1.52, 1.48)
    trials = paired("compile", gains, **facts) + paired("plain", gains, first=3, work="same work")
    rounds = compare(trials, 0.01, Target("accuracy"), screening=True, looks=LOOKS).arms
    assert [one.verdict for one in rounds] == [Verdict.NO_GAIN, Verdict.SCREENED]


def test_memory_pays_back_at_once() -> None:
    assert compiled(savings=FASTER).verdict is Verdict.WIN
