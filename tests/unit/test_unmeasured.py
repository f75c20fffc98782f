"""What did not happen is not judged: an arm whose baseline has not run yet, or gave nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bench.analysis.comparison import compare, compare_run
from bench.analysis.tries import tried, yardstick
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from bench.records.measurement import BASELINE, Inference
from tests.records import failed, header, measurement, paired, recipe


def test_a_trial_whose_baseline_has_not_run_yet_has_not_failed() -> None:
    found = compare([measurement("fast")], 0.01, Target("accuracy"))
    (result,) = found.arms
    assert (result.verdict, result.goes_on) == (Verdict.UNDECIDED, True)
    assert result.reason == "no whole pair was measured"
    assert found.complete


def test_an_arm_is_not_blamed_for_what_its_baseline_lacks() -> None:
    trials = [t for n in (0, 1) for t in (failed(BASELINE, n), measurement("fast", n))]
    found = compare(trials, 0.01, Target("accuracy"))
    (result,) = found.arms
    assert (result.verdict, result.goes_on) == (Verdict.UNDECIDED, False)
    assert result.reason == "no whole pair was measured; the baseline failed: it broke"
    assert not found.complete


TIMED: dict[str, Any] = {"inference": (Inference(items=1, seconds=(0.1,)),)}
FLAT = "a gain of 5 % or more in {} is excluded, but its inference time is not known"


@pytest.mark.parametrize(
    ("objectives", "baseline", "said"),
    [
        (("inference time",), TIMED, "its inference time is not known"),
        (("time", "inference time"), TIMED, FLAT.format("time")),
        (("time", "inference time"), {}, FLAT.format("time")),
        ((), TIMED, FLAT.format("time and memory")),
    ],
)
def test_no_gain_is_not_said_of_what_no_pair_knows(
    objectives: tuple[str, ...], baseline: dict[str, Any], said: str
) -> None:
    slim = paired("slim", baseline=baseline, effect="model")
    asked = header(first=4, repeats=30, objectives=objectives)
    (result,) = compare_run(asked, slim, ()).arms
    assert (result.verdict, result.reason, result.goes_on) == (Verdict.UNDECIDED, said, False)


@pytest.mark.parametrize("effect", ["exact", "learning"])
def test_what_does_not_apply_to_an_arm_need_not_be_known_to_say_that_it_gains_nothing(
    effect: str,
) -> None:
    for objectives in ((), ("time", "inference time")):
        asked = header(first=4, repeats=30, objectives=objectives)
        (result,) = compare_run(asked, paired("idle", baseline=TIMED, effect=effect), ()).arms
        assert result.verdict is Verdict.NO_GAIN
    slim = paired("slim", effect="model")  # nobody asked for what its baseline doesn't tell either
    (result,) = compare_run(header(first=4, repeats=30), slim, ()).arms
    assert result.verdict is Verdict.NO_GAIN


def test_an_arm_that_failed_where_its_baseline_did_too_has_not_failed() -> None:
    both = [failed(arm, 0) for arm in (BASELINE, "slow")]
    (result,) = compare([*both, measurement(pair=1)], 0.01, Target("accuracy")).arms
    assert result.verdict is Verdict.UNDECIDED
    assert result.reason == "no whole pair was measured; the baseline failed: it broke"
    alone = [measurement(pair=1), failed("slow", 1, reason="no room")]
    (result,) = compare([*both, *alone], 0.01, Target("accuracy")).arms
    assert (result.verdict, result.reason) == (Verdict.FAILED, "failed: no room")


def test_an_arm_that_was_chosen_stays_so_until_a_fresh_pair_is_whole() -> None:
    screened = paired("fast", (2.0, 2.01, 2.02, 1.99, 2.0))
    half = measurement("fast", 9, seconds=0.5, stage="confirm")
    asked = header(mode="full-optimization", first=4, repeats=30, screening=(1, 6))
    (result,) = compare_run(asked, [*screened, half], ()).arms
    assert result.verdict is Verdict.SCREENED


def test_a_try_whose_metric_is_not_told_is_not_taken_for_one_that_keeps_it() -> None:
    by = yardstick(header(mode="full-optimization", objectives=("time",)))
    content = recipe("fast").model_dump(mode="json")
    own = measurement("try-1", seconds=0.5, metric=None, stage="tune", recipe=content)
    (unknown,) = tried([(measurement(stage="tune"), own)], by)
    assert (unknown.fits, unknown.excess) == (False, 1.0)
    (stepped,) = tried([(measurement(stage="tune", metric=None), own)], by)
    assert stepped.fits  # trials of steps alone tell no metric, the baseline's neither


def test_a_try_that_deploys_what_is_trained_needs_no_timing_of_inference() -> None:
    by = yardstick(header(mode="full-optimization", objectives=("time", "inference time")))
    assert by.gain((measurement(), measurement("quick", seconds=0.5))) == pytest.approx(math.log(2))
    assert by.gain((measurement(), measurement("slim", seconds=0.5, effect="model"))) is None
