"""What a trial lacks is not made up: a time limit that ended it, no steps, seconds of zero."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.aims import excess_of_baseline
from bench.analysis.comparison import compare, compare_run
from bench.analysis.figures import figures_of
from bench.analysis.payback import planned_steps
from bench.analysis.results import Aims, ArmResult
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from bench.records.measurement import BASELINE, Inference, Measurement, Status
from reports.claims import judgement
from reports.run import read
from tests.golden.made_up import verified
from tests.records import DATA, failed, header, measurement, paired

FASTER = (1.5, 1.52, 1.48, 1.51, 1.49, 1.5)
KEPT = (0.0, 0.001, -0.001, 0.0, 0.001, -0.001)


def late(trial: Measurement) -> Measurement:
    """Return the trial as its time limit would have ended it."""
    kept = set(Measurement.model_fields) - {"train_seconds", "window_seconds", "metric", "losses"}
    facts = trial.model_dump(include=kept)
    return Measurement.model_validate(
        {**facts, "status": Status.TIMED_OUT, "reason": "no result", "wall_seconds": 1800.0}
    )


def result(trials: list[Measurement]) -> ArmResult:
    (found,) = compare(trials, 0.01, Target("accuracy", None)).arms
    return found


@pytest.mark.parametrize("pairs", [(2,), (2, 4)])
def test_trainings_that_run_out_of_time_are_no_outliers_of_a_win(pairs: tuple[int, ...]) -> None:
    trials = paired("fast", FASTER, losses_of_metric=KEPT)
    assert result(trials).verdict is Verdict.WIN
    found = result([late(t) if t.arm == "fast" and t.pair in pairs else t for t in trials])
    assert (found.verdict, found.gains) == (Verdict.UNDECIDED, ())
    assert found.time_ratio is not None
    assert found.time_ratio.middle < 0.5
    assert found.time_ratio.high is not None
    assert found.time_ratio.high > found.time_ratio.middle > (found.time_ratio.low or 0)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"limits": {"time": 0.9}}, "training of 1,800 s is over the limit of 0.9 s"),
        (
            {"times_baseline": {"time": 1.2}},
            "training is 900x the baseline's, over the limit of 1.2x",
        ),
    ],
)
def test_trainings_that_run_out_of_time_are_the_slow_ones_of_a_limit(
    asked: dict[str, Any], said: str
) -> None:
    trials = paired("small", (1.25,) * 9, savings=FASTER * 2, losses_of_metric=KEPT * 2)
    head = header(first=4, repeats=30, objectives=("memory",), **asked)
    (within,) = compare_run(head, trials, ()).arms
    assert within.verdict is Verdict.WIN
    slow = [late(t) if t.arm == "small" and t.pair >= 4 else t for t in trials]
    (found,) = compare_run(head, slow, ()).arms
    assert (found.verdict, found.reason) == (Verdict.OVER_LIMIT, said)


def test_a_baseline_that_runs_out_of_time_is_over_a_limit_on_it() -> None:
    trials = [measurement(pair=n) for n in range(5)]
    limit = Aims(limits={"time": 1.5})
    assert excess_of_baseline(trials, limit) is None
    late_too = [late(trial) if trial.pair > 1 else trial for trial in trials]
    over = "training of 1,800 s is over the limit of 1.5 s"
    assert excess_of_baseline(late_too, limit) == over


def test_what_ran_out_of_time_beside_a_baseline_that_failed_says_nothing() -> None:
    trials = paired("fast", FASTER, losses_of_metric=KEPT)
    broke = failed(BASELINE, 2).model_copy(update={"wall_seconds": 1.0})
    trials[4], trials[5] = broke, late(trials[5])
    assert result(trials).verdict is Verdict.WIN


def test_a_claim_of_time_counts_what_ran_out_of_it(tmp_path: Path) -> None:
    whole = read(verified(tmp_path / "whole"))
    slow = [late(t) if t.arm == "mixed-precision" and t.pair < 4 else t for t in whole.trials]
    (whole.path / "trials.jsonl").write_text("".join(t.model_dump_json() + "\n" for t in slow))
    claim = whole.header.claim
    assert claim is not None
    said = "does not hold: claimed a time ratio of at least 1.360, measured 0.0"
    assert said in judgement(read(whole.path), claim)


def test_a_claim_that_holds_says_all_that_was_claimed(tmp_path: Path) -> None:
    run = read(verified(tmp_path / "run"))
    assert run.header.claim is not None
    claim = run.header.claim.model_copy(
        update={"memory_ratio": None, "other_ratios": {"inference time": (0.99, 1.0, 1.2)}}
    )
    said = judgement(replace(run, header=run.header.model_copy(update={"claim": claim})), claim)
    assert "inference time 1.000× [0.998, 1.002] (claimed at least 0.99×)" in said


def test_trials_without_a_timed_step_are_compared_by_what_they_have() -> None:
    none: dict[str, Any] = {"step_seconds": (), "warmup_step_seconds": (), "work": "same work"}
    found = result(paired("fast", FASTER, losses_of_metric=KEPT, baseline=none, **none))
    assert (found.verdict, found.payback_steps) == (Verdict.WIN, None)


@pytest.mark.parametrize("seconds", [(), (0.0, 0.0)])
def test_inference_that_took_no_measurable_time_has_no_rate(seconds: tuple[float, ...]) -> None:
    timed = (Inference(items=32, seconds=seconds),)
    own = figures_of("fast", [measurement("fast", inference=timed)])
    assert own.model.items_per_second is None
    both: dict[str, Any] = {"inference": timed, "effect": "model"}
    assert result(paired("fast", FASTER, baseline=both, **both)).throughput_ratio is None


def test_no_gain_is_not_said_of_a_time_that_is_not_known() -> None:
    unknown: dict[str, Any] = {"items": 0, "work": "same work"}
    found = result(paired("fast", baseline=unknown, losses_of_metric=KEPT, **unknown))
    assert (found.verdict, found.reason) == (
        Verdict.UNDECIDED, "a gain of 5 % or more in memory is excluded, but its time is not known"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"items": 36}, 15),  # 18 items in batches of 4, 4, 4, 4 and 2
        ({"items": 40, "epoch_items": 16}, 12),
        ({"items": 40, "items_seen": 36 * 3, "epochs": 3, "kind": "full"}, 27),  # drawn twice
        ({"items": 40, "items_seen": 36, "epochs": 2, "kind": "full"}, 12),  # ended early
    ],
)
def test_the_steps_of_a_training_are_reckoned_whole(changes: dict[str, Any], steps: int) -> None:
    facts = {"kind": "step", "planned_epochs": 3, "data": replace(DATA, train_items=18), **changes}
    assert planned_steps(measurement(step_seconds=(0.1,) * 10, **facts)) == steps
