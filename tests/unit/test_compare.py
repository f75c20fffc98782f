"""The table of verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis.aims import best
from bench.analysis.comparison import compare, compare_run
from bench.analysis.intervals import Interval
from bench.analysis.levels import Rule
from bench.analysis.pairs import pairs_of
from bench.analysis.results import ArmResult, Comparison
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from bench.records.measurement import BASELINE, CONTROL, Evaluation, Inference, Measurement, Status
from reports import formatting
from tests.records import DATA, LOSSES, MIB, failed, header, measurement, paired

FASTER = (1.48, 1.5, 1.52, 1.49, 1.51, 1.5)
EQUAL = (0.995, 1.005, 1.0, 1.002, 0.998, 1.0)
NOISY = (0.8, 1.3, 1.0, 1.2, 0.9, 1.1)
KEPT = (0.001, -0.001, 0.002, 0.0, -0.002, 0.0)


def judged(trials: list[Measurement], margin: float = 0.01, **asked: Any) -> ArmResult:
    (result,) = whole(trials, margin, **asked).arms
    return result


def whole(
    trials: list[Measurement], margin: float = 0.01, target: float | None = None
) -> Comparison:
    return compare(trials, margin, Target("accuracy", target))


def test_faster_at_the_same_quality_is_a_win() -> None:
    result = judged(paired("fast", FASTER, losses_of_metric=KEPT))
    assert (result.verdict, result.reason) == (Verdict.WIN, "faster")
    assert result.time_ratio is not None
    assert result.time_ratio.middle == pytest.approx(1.5, abs=0.001)
    assert result.pairs == 6


def test_smaller_at_the_same_quality_is_a_win() -> None:
    result = judged(paired("small", EQUAL, savings=FASTER, losses_of_metric=KEPT))
    assert (result.verdict, result.reason) == (Verdict.WIN, "smaller")


def test_faster_and_smaller_is_said_so() -> None:
    result = judged(paired("both", FASTER, savings=FASTER, losses_of_metric=KEPT))
    assert result.reason == "faster, smaller"


def deployed(effect: str, bytes_: int, seconds: float) -> ArmResult:
    """Return the verdict on a technique whose model has this file, and this latency."""
    baseline = {"model_bytes": 4000, "inference": (Inference(items=1, seconds=(0.4, 0.4)),)}
    candidate: dict[str, Any] = {
        "model_bytes": bytes_,
        "inference": (Inference(items=1, seconds=(seconds,)),),
    }
    pairs = paired(
        "other", EQUAL, savings=EQUAL, losses_of_metric=KEPT, baseline=baseline, effect=effect,
        **candidate,
    )  # fmt: skip
    return judged(pairs)


def test_a_model_that_answers_faster_from_a_smaller_file_is_a_win() -> None:
    result = deployed("model", 1000, 0.1)
    assert (result.verdict, result.reason) == (
        Verdict.WIN, "faster inference, smaller file",
    )  # fmt: skip
    assert (result.size_ratio, result.latency_ratio) == (4.0, 4.0)


def test_inference_counts_only_where_another_model_is_deployed() -> None:
    assert deployed("learning", 1000, 0.1).verdict is Verdict.NO_GAIN


def test_a_model_that_is_larger_and_slower_is_no_gain() -> None:
    assert deployed("model", 5000, 0.5).verdict is Verdict.NO_GAIN


def test_the_same_within_little_is_no_gain() -> None:
    result = judged(paired("none", EQUAL, savings=EQUAL, losses_of_metric=KEPT))
    assert (result.verdict, result.reason) == (
        Verdict.NO_GAIN, "a gain of 5 % or more is excluded, at 95 % for this arm alone",
    )  # fmt: skip


def test_slower_is_no_gain() -> None:
    slower = [1 / gain for gain in FASTER]
    result = judged(paired("slow", slower, savings=EQUAL, losses_of_metric=KEPT))
    assert result.verdict is Verdict.NO_GAIN


def test_a_gain_below_one_percent_is_no_win() -> None:
    tiny = [1.004, 1.0041, 1.0042, 1.004, 1.0039, 1.004]
    result = judged(paired("tiny", tiny, savings=EQUAL, losses_of_metric=KEPT))
    assert result.verdict is Verdict.NO_GAIN


def test_faster_but_surely_worse_is_an_accuracy_loss() -> None:
    lost = [0.05 + noise for noise in KEPT]
    result = judged(paired("lossy", FASTER, losses_of_metric=lost))
    assert result.verdict is Verdict.ACCURACY_LOSS
    assert result.reason.startswith("the metric fell by at least 0.04")


def test_a_loss_within_the_margin_is_a_win() -> None:
    lost = [0.02 + noise for noise in KEPT]
    trials = paired("lossy", FASTER, losses_of_metric=lost)
    assert judged(trials, margin=0.03).verdict is Verdict.WIN
    assert judged(trials, margin=0.01).verdict is Verdict.ACCURACY_LOSS


def test_a_better_metric_is_a_win() -> None:
    result = judged(paired("better", FASTER, losses_of_metric=[-0.05 + n for n in KEPT]), margin=0)
    assert result.verdict is Verdict.WIN


def test_noisy_time_is_undecided_and_says_how_many_more_pairs() -> None:
    result = judged(paired("noisy", NOISY, savings=EQUAL, losses_of_metric=KEPT))
    assert result.verdict is Verdict.UNDECIDED
    assert result.reason == "the interval of time holds both none and a gain"
    assert result.more_pairs is not None
    assert 10 < result.more_pairs < 1000


def test_noisy_quality_is_undecided_and_says_how_many_more_pairs() -> None:
    lost = [0.03, -0.03, 0.02, -0.02, 0.03, -0.03]
    result = judged(paired("risky", FASTER, losses_of_metric=lost))
    assert result.verdict is Verdict.UNDECIDED
    assert result.reason.startswith(
        "faster, but losses of the metric beyond the margin are not excluded"
    )
    assert result.more_pairs is not None
    assert 1 <= result.more_pairs < 1000


def test_a_quality_that_was_not_measured_is_never_a_win() -> None:
    result = judged(paired("blind", FASTER, metric=None, baseline={"metric": None}))
    assert result.verdict is Verdict.UNDECIDED


def test_one_pair_is_undecided() -> None:
    result = judged(paired("fast", [1.5]))
    assert (result.verdict, result.reason) == (Verdict.UNDECIDED, "one pair gives no interval")


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        (1, "one pair gives no interval"),
        (2, "2 pairs give no interval: it takes 3"),
        (3, "the interval of time holds both none and a gain"),
    ],
)
def test_a_test_of_too_few_pairs_for_an_interval_says_so(pairs: int, reason: str) -> None:
    trials = paired("noisy", NOISY[:pairs], savings=EQUAL[:pairs])
    (result,) = compare(trials, 0.01, Target("accuracy"), rules={"test": Rule(pairs, pairs)}).arms
    assert (result.verdict, result.reason, result.goes_on) == (Verdict.UNDECIDED, reason, False)
    assert result.more_pairs is not None
    assert result.pairs + result.more_pairs >= 3


def test_pairs_of_which_too_few_tell_give_no_interval() -> None:
    trials = paired("fast", FASTER[:4], losses_of_metric=KEPT[:4])
    trials[2] = failed(BASELINE, 1)
    result = judged(trials)
    assert (result.reason, result.more_pairs) == ("3 pairs give no interval: it takes 4", 1)
    assert result.goes_on


def test_what_does_not_apply_says_why() -> None:
    trials = [measurement(), failed("odd", -1, Status.NOT_APPLICABLE, "no CUDA here")]
    result = judged(trials)
    assert (result.verdict, result.reason) == (Verdict.NOT_APPLICABLE, "no CUDA here")
    assert whole(trials).complete


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.FAILED, "failed: it broke"),
        (Status.OUT_OF_MEMORY, "out of memory: it broke"),
        (Status.TIMED_OUT, "timed out: it broke"),
        (Status.DIVERGED, "diverged: it broke"),
    ],
)
def test_an_arm_of_which_nothing_ended_well_failed(status: Status, reason: str) -> None:
    trials = [
        measurement(),
        failed("bad", 0, status),
        measurement(pair=1),
        failed("bad", 1, status),
    ]
    result = judged(trials)
    assert (result.verdict, result.reason) == (Verdict.FAILED, reason)
    assert result.statuses == {str(status): 2}
    assert not whole(trials).complete


def test_a_pair_with_a_failed_trial_is_left_out_of_both_arms() -> None:
    trials = paired("fast", FASTER, losses_of_metric=KEPT)
    trials[1] = failed("fast", 0)
    trials[2] = failed(BASELINE, 1)
    result = judged(trials)
    assert result.pairs == 4
    assert result.statuses == {"failed": 1, "ok": 5}
    assert [baseline.pair for baseline, _ in pairs_of(trials, "fast")] == [2, 3, 4, 5]


def test_an_arm_of_which_one_trial_ended_well_leaves_the_run_complete() -> None:
    trials = [*paired("fast", FASTER), failed("fast", 6), measurement(pair=6)]
    assert whole(trials).complete


def test_exact_with_other_losses_failed() -> None:
    result = judged(paired("liar", FASTER, effect="exact", work="same work", losses=(1.0, 0.51)))
    assert result.verdict is Verdict.FAILED
    assert result.reason == "it declares the effect exact, but the losses differ"
    assert result.same_losses is False


def test_exact_is_judged_by_time_alone() -> None:
    step: dict[str, Any] = {"kind": "step", "metric": None}
    result = judged(
        paired("exact", FASTER, effect="exact", work="same work", baseline=step, **step)
    )
    assert result.verdict is Verdict.WIN
    assert result.same_losses is True


def exact(losses: Sequence[float] = LOSSES, base: Sequence[float] = LOSSES) -> ArmResult:
    """Return the verdict on step trials of an arm that declares itself exact."""
    facts: dict[str, Any] = {"kind": "step", "metric": None}
    return judged(
        paired(
            "exact", FASTER, baseline={**facts, "losses": base}, effect="exact", work="same work",
            losses=losses, **facts,
        )
    )  # fmt: skip


def test_exact_step_trials_may_differ_in_how_many_steps_they_made() -> None:
    result = exact(base=LOSSES[:17])
    assert (result.verdict, result.same_losses, result.loss_steps) == (Verdict.WIN, True, 17)


@pytest.mark.parametrize("steps", [0, 1, 14])
def test_equal_losses_of_few_steps_keep_nothing(steps: int) -> None:
    result = exact(losses=LOSSES[:steps])
    assert (result.verdict, result.same_losses) == (Verdict.UNDECIDED, None)
    assert result.reason == (
        f"faster, but its losses can be compared over {steps} steps alone; 15 are asked for"
    )


def unrepeatable(*losses: float) -> ArmResult:
    """Return the verdict on an exact arm beside a baseline that doesn't repeat to 1e-5."""
    shaken = tuple(loss * (1 + 1e-5) for loss in LOSSES)
    step: dict[str, Any] = {"kind": "step", "metric": None}
    control = paired(CONTROL, EQUAL, baseline=step, losses=shaken, **step)
    arm = paired("exact", FASTER, first=6, baseline=step, effect="exact", losses=losses, **step)
    return judged([*control, *arm])


def test_beside_a_baseline_that_does_not_repeat_exact_is_held_to_what_it_does() -> None:
    near = unrepeatable(*(loss * (1 - 2e-5) for loss in LOSSES))
    assert (near.verdict, near.losses_agree, near.same_losses) == (Verdict.WIN, True, False)
    far = unrepeatable(*(5 * loss for loss in LOSSES))
    assert far.verdict is Verdict.UNDECIDED
    assert far.reason == (
        "faster, but its losses differ by more than those of the baseline, which doesn't repeat, "
        "itself"
    )


def test_a_technique_of_rounding_is_kept_by_its_first_losses() -> None:
    noisy = [0.05, -0.05, 0.04, -0.04, 0.05, -0.05]
    facts: dict[str, Any] = {"effect": "rounding", "work": "same work", "losses_of_metric": noisy}
    near = judged(paired("near", FASTER, losses=[x * (1 + 1e-5) for x in LOSSES], **facts))
    assert (near.verdict, near.losses_agree) == (Verdict.WIN, True)
    coarse = [x * (1 + 5e-3) for x in LOSSES]
    bf16 = judged(paired("bf16", FASTER, losses=coarse, rounding=1e-2, **facts))
    assert (bf16.verdict, bf16.losses_agree) == (Verdict.WIN, True)
    far = judged(paired("far", FASTER, losses=coarse, **facts))
    assert (far.verdict, far.losses_agree) == (Verdict.UNDECIDED, False)
    lost = {**facts, "losses_of_metric": [0.05 + k for k in KEPT]}
    assert judged(paired("lost", FASTER, **lost)).verdict is Verdict.ACCURACY_LOSS


def test_same_work_is_judged_by_its_steps_and_other_work_by_its_training() -> None:
    facts: dict[str, Any] = {"losses_of_metric": KEPT, "train_seconds": 5.0}
    assert judged(paired("t", FASTER, **facts)).time_basis == "training"
    assert judged(paired("t", FASTER, **facts)).verdict is not Verdict.WIN
    result = judged(paired("t", FASTER, **facts, work="same work"))
    assert (result.time_basis, result.verdict) == ("step", Verdict.WIN)


def test_a_confirmed_arm_is_judged_by_fresh_pairs_alone() -> None:
    lucky = paired("fast", FASTER, losses_of_metric=KEPT)
    fresh = paired(
        "fast", EQUAL, savings=EQUAL, losses_of_metric=KEPT, first=6,
        baseline={"stage": "confirm"}, stage="confirm",
    )  # fmt: skip
    result = judged([*lucky, *fresh])
    assert (result.verdict, result.pairs, result.confirmed) == (Verdict.NO_GAIN, 6, True)


def test_a_confirmation_that_failed_is_not_replaced_by_the_screening() -> None:
    lucky = paired("fast", FASTER, losses_of_metric=KEPT)
    trials = [*lucky, measurement(pair=6, stage="confirm"), failed("fast", 6)]
    trials[-1] = trials[-1].model_copy(update={"stage": "confirm"})
    assert judged(trials).verdict is Verdict.FAILED


def test_the_control_tells_the_smallest_visible_effect() -> None:
    comparison = whole(paired(CONTROL, NOISY))
    assert comparison.arms == ()
    assert comparison.control is not None
    assert comparison.control.same_losses is True
    ratio = comparison.control.time_ratio
    assert ratio is not None
    assert ratio.low is not None
    assert ratio.high is not None
    half = (ratio.high / ratio.low) ** 0.5 - 1
    assert comparison.visible_pairs == 6
    assert comparison.smallest_visible_effect is not None
    assert comparison.smallest_visible_effect > half


def test_without_a_control_no_visible_effect_is_told() -> None:
    comparison = whole(paired("fast", FASTER))
    assert comparison.control is None
    assert comparison.smallest_visible_effect is None


def test_equal_seeds_are_no_replicates_of_quality() -> None:
    trials = [measurement(pair=pair, seed=1, metric=0.9) for pair in range(4)]
    assert whole(trials).baseline_metric == Interval(None, 0.9, None)


def to_target(*pairs: tuple[float | None, float | None]) -> list[Measurement]:
    """Return pairs of trainings that reach 0.8 after so many seconds; None: never."""

    def course(seconds: float | None) -> tuple[Evaluation, ...]:
        values = {"accuracy": 0.5 if seconds is None else 0.8}
        return (Evaluation(epoch=1, step=1, train_seconds=seconds or 9.0, values=values),)

    made = []
    for pair, (before, after) in enumerate(pairs):
        facts: dict[str, Any] = {"baseline": {"metrics": course(before)}, "metrics": course(after)}
        made += paired("quick", [1.0], first=pair, **facts)
    return made


@pytest.mark.parametrize(
    ("pairs", "reached", "ratio"),
    [
        (((4.0, 2.0), (6.0, 2.0), (5.0, 2.0)), (3, 3), 2.5),
        (((4.0, 2.0), (6.0, None), (5.0, 2.0)), (2, 3), 2.0),  # one never: slower than all others
        (((None, 2.0), (6.0, 2.0), (5.0, 2.0)), (3, 3), 3.0),  # faster than all others
        (((None, None), (6.0, 2.0)), (1, 2), 3.0),
        (((4.0, None), (6.0, None), (5.0, 2.0)), (1, 3), None),
        (((None, None),), (0, 1), None),
        (((4.0, None), (6.0, None), (8.0, 6.98), (6.0, 2.0)), (2, 4), None),  # one and none
        (((None, 4.0), (6.0, 2.0)), (2, 2), None),
    ],
)
def test_what_never_reached_the_target_counts_in_its_ratio(
    pairs: Any, reached: tuple[int, int], ratio: float | None
) -> None:
    found = judged(to_target(*pairs), target=0.8)
    assert (found.reached, found.target_ratio) == (reached, ratio)


def test_a_median_of_those_that_reached_the_target_and_those_that_did_not_is_open() -> None:
    assert formatting.to_target(None, (2, 4)) == "open (2 of 4 reached it)"
    assert formatting.to_target(None, (1, 4)) == "not reached (1 of 4)"
    assert formatting.to_target(2.0, (3, 4)) == "2.00 s (3 of 4)"


def test_the_time_to_target_is_when_the_metric_first_reached_it() -> None:
    def at(epoch: int, accuracy: float) -> Evaluation:
        return Evaluation(
            epoch=epoch, step=epoch, train_seconds=epoch, values={"accuracy": accuracy}
        )

    reached = (at(1, 0.5), at(2, 0.8), at(3, 0.7), at(4, 0.9))
    trials = paired("fast", FASTER, metrics=reached, baseline={"metrics": (at(1, 0.5),)})
    assert judged(trials, target=0.8).seconds_to_target == 2
    assert whole(trials, target=0.8).baseline_seconds_to_target is None


def test_memory_on_cuda_is_compared_by_what_was_allocated() -> None:
    trials = paired(
        "small", EQUAL, losses_of_metric=KEPT, peak_allocated_bytes=10 * MIB,
        baseline={"peak_allocated_bytes": 20 * MIB},
    )  # fmt: skip
    result = judged(trials)
    assert result.memory_ratio is not None
    assert result.memory_ratio.middle == pytest.approx(2.0)


def test_an_unknown_memory_is_unknown() -> None:
    result = judged(paired("fast", FASTER, losses_of_metric=KEPT, peak_rss_bytes=None))
    assert result.memory_ratio is None
    assert result.verdict is Verdict.WIN


@pytest.mark.parametrize("pairs", [2, 3])
def test_nothing_is_said_before_the_first_look(pairs: int) -> None:
    result = judged(paired("fast", FASTER[:pairs]))
    assert (result.verdict, result.gains) == (Verdict.UNDECIDED, ())
    assert result.reason == f"the first look is after 4 pairs, and {pairs} were measured"
    assert (result.more_pairs, result.goes_on) == (4 - pairs, True)
    assert result.time_ratio is not None
    assert (result.time_ratio.low, result.time_ratio.high) == (None, None)


def test_a_fixed_number_of_pairs_says_nothing_before_them() -> None:
    trials = paired("fast", FASTER[:5], losses_of_metric=KEPT)
    early = compare_run(header(repeats=6), trials, []).arms[0]
    assert (early.verdict, early.reason) == (
        Verdict.UNDECIDED, "the test is of 6 pairs, and 5 were measured",
    )  # fmt: skip
    last = compare_run(header(repeats=5), trials, []).arms[0]
    assert last.verdict is Verdict.WIN


FAILURES = (Status.DIVERGED, Status.OUT_OF_MEMORY, Status.FAILED)


def with_failures(status: Status, *where: int) -> ArmResult:
    trials = paired("fast", FASTER, losses_of_metric=KEPT)
    for pair in where:
        trials[2 * pair + 1] = failed("fast", pair, status, "loss is nan")
    return judged(trials)


@pytest.mark.parametrize("status", FAILURES)
def test_one_failed_training_of_six_leaves_a_win_unsaid(status: Status) -> None:
    result = with_failures(status, 2)
    how = str(status).replace("_", " ")
    assert result.verdict is Verdict.UNDECIDED
    assert result.reason == (
        f"faster, but 1 of 6 trainings failed where the baseline's did not ({how}: loss is nan)"
    )
    assert not result.goes_on


@pytest.mark.parametrize("where", [(1, 2), (0, 2, 4), (0, 1, 2, 3, 4)])
def test_two_or_more_failed_trainings_of_six_are_a_loss(where: tuple[int, ...]) -> None:
    result = with_failures(Status.DIVERGED, *where)
    assert result.verdict is Verdict.ACCURACY_LOSS
    assert f"{len(where)} of 6 trainings failed where the baseline's did not" in result.reason


def test_a_training_that_failed_with_its_baseline_is_no_evidence() -> None:
    trials = paired("fast", FASTER, losses_of_metric=KEPT)
    trials[4], trials[5] = failed(BASELINE, 2), failed("fast", 2)
    assert judged(trials).verdict is Verdict.WIN


@pytest.mark.parametrize("candidate", ["whole", "failed"])
def test_a_fixed_number_of_pairs_is_judged_though_a_baseline_failed_in_one(candidate: str) -> None:
    trials = paired("fast", FASTER, losses_of_metric=KEPT)
    trials[4] = failed(BASELINE, 2)
    if candidate == "failed":
        trials[5] = failed("fast", 2)
    (result,) = compare(trials, 0.01, Target("accuracy"), rules={"test": Rule(6, 6)}).arms
    assert (result.verdict, result.reason, result.pairs) == (Verdict.WIN, "faster", 5)
    assert not result.goes_on


def test_a_trial_out_of_time_counts_with_the_time_it_took() -> None:
    trials = paired("fast", [1.5] * 6, losses_of_metric=KEPT)
    slow = failed("fast", 2, Status.TIMED_OUT, "no result")
    trials[5] = slow.model_copy(update={"wall_seconds": 200.0})
    result = judged(trials)
    assert result.verdict is Verdict.UNDECIDED
    assert result.reason == "the interval of time holds both none and a gain"
    assert judged(paired("fast", [1.5] * 6, losses_of_metric=KEPT)).verdict is Verdict.WIN


@pytest.mark.parametrize(("items", "verdict"), [(40, Verdict.UNDECIDED), (345, Verdict.WIN)])
def test_ties_on_few_test_items_are_no_proof_of_quality(items: int, verdict: Verdict) -> None:
    data = replace(DATA, test_items=items)
    same: dict[str, Any] = {"metric": 36 / 40 if items == 40 else 310 / 345, "data": data}
    result = judged(paired("tied", FASTER, baseline=same, **same))
    assert result.verdict is verdict
    assert result.metric_difference is not None
    assert result.metric_difference.low is not None
    assert result.metric_difference.low < 0 < (result.metric_difference.high or 0)
    if verdict is Verdict.UNDECIDED:
        assert result.more_pairs == 7
        assert result.needed_margin is not None


def test_what_wins_among_many_is_only_screened_until_fresh_pairs_confirm_it() -> None:
    lucky = paired("lucky", FASTER, losses_of_metric=KEPT)
    fresh = paired(
        "fresh", FASTER, losses_of_metric=KEPT, first=6, baseline={"stage": "confirm"},
        stage="confirm",
    )  # fmt: skip
    found = compare_run(header(mode="full-optimization", first=4, repeats=30), lucky + fresh, [])
    assert [r.verdict for r in found.arms] == [Verdict.SCREENED, Verdict.WIN]
    winner = best(found)
    assert winner is not None
    assert winner.arm == "fresh"
    refuted = compare_run(header(mode="full-optimization", first=4, repeats=30), lucky, [])
    assert best(refuted) is None


def test_an_arm_among_many_must_be_surer() -> None:
    trials = paired("fast", [1.06 * n**0.1 for n in NOISY], losses_of_metric=KEPT)
    alone = compare_run(header(first=4, repeats=30, raced={"test": 1}), trials, [])
    among = compare_run(header(first=4, repeats=30, raced={"test": 40}), trials, [])
    assert [r.verdict for r in (*alone.arms, *among.arms)] == [Verdict.WIN, Verdict.UNDECIDED]


def test_the_median_stands_beside_the_mean() -> None:
    result = judged(paired("odd", (1.02, 1.02, 1.02, 0.5, 1.02), losses_of_metric=KEPT))
    assert result.time_ratio is not None
    assert result.time_ratio.middle < 1.01 < (result.time_median or 0)


def first_setup(seconds: float, others: Sequence[float] = (0.2,) * 6) -> ArmResult:
    """Return the verdict on an arm whose first trial began so slowly; baselines begin as given."""
    trials = paired("fast", FASTER, losses_of_metric=KEPT, work="same work")
    for index, trial in enumerate(trials):
        pair = index // 2
        first = others[pair] if trial.arm == BASELINE else (seconds if pair == 0 else others[pair])
        trials[index] = trial.model_copy(update={"warmup_step_seconds": (first, 0.1)})
    return judged(trials)


def test_a_slow_first_trial_alone_does_not_undo_a_win() -> None:
    result = first_setup(1.5, (0.1, 0.9, 2.0, 0.3, 0.6, 0.4))
    assert result.verdict is Verdict.WIN
    assert not result.setup_is_sure


def test_a_first_set_up_beyond_what_the_baseline_differs_by_does() -> None:
    result = first_setup(8.0)
    assert result.verdict is Verdict.NO_GAIN
    assert "7.9 s of set-up pay back only after" in result.reason


def begun(seconds: float, trials: Sequence[Measurement]) -> list[Measurement]:
    """Return trials of which those of the arm begin so slowly."""
    return [
        trial.model_copy(update={
            "warmup_step_seconds": (0.1 if trial.arm == BASELINE else seconds, 0.1)
        })
        for trial in trials
    ]  # fmt: skip


def test_the_set_up_of_what_is_confirmed_is_that_of_the_first_trial_of_its_recipe() -> None:
    facts: dict[str, Any] = {"work": "same work", "planned_epochs": 100}
    whole = paired("fast", FASTER[:1], baseline={"stage": "combine"}, stage="combine", **facts)
    fresh = paired(
        "fast", FASTER[:4], losses_of_metric=KEPT[:4], first=1, baseline={"stage": "confirm"},
        stage="confirm", **facts,
    )  # fmt: skip
    warm, head = begun(5.0, fresh), header(first=4, repeats=30)
    (alone,) = compare_run(head, warm, ()).arms
    assert alone.verdict is Verdict.WIN
    (result,) = compare_run(head, [*begun(40.0, whole), *warm], ()).arms
    assert (result.verdict, result.pairs) == (Verdict.NO_GAIN, 4)
    assert result.setup_seconds == pytest.approx(40.0, abs=0.1)
    assert result.warm_setup_seconds == pytest.approx(5.0, abs=0.1)


def test_other_metrics_get_a_paired_difference_too() -> None:
    trials = paired("other", EQUAL, losses_of_metric=KEPT)

    def beside(trial: Measurement) -> Measurement:
        recall = 0.1 * trial.seed + (0.05 if trial.arm == "other" else 0.0)
        last = Evaluation(
            epoch=1, step=1, train_seconds=1.0, values={"accuracy": 0.5, "recall": recall}
        )
        return trial.model_copy(update={"metrics": (last,)})

    result = judged([beside(trial) for trial in trials])
    assert result.other_differences.keys() == {"recall"}
    assert result.other_differences["recall"] == pytest.approx((0.05, 0.05, 0.05))


def test_a_metric_that_one_of_a_pair_lacks_has_no_difference() -> None:
    assert judged(paired("other", EQUAL, losses_of_metric=KEPT)).other_differences == {}


def test_less_energy_is_a_gain_where_it_is_counted_and_makes_the_others_surer() -> None:
    joules: dict[str, Any] = {"items_seen": 80, "work": "same work"}
    trials = paired("cool", EQUAL, losses_of_metric=KEPT, baseline={"energy_joules": 9.0, **joules},
                    energy_joules=6.0, **joules)  # fmt: skip
    result = judged(trials)
    assert (result.verdict, result.gains) == (Verdict.WIN, ("less energy",))
    assert result.energy_ratio is not None
    assert result.energy_ratio.middle == pytest.approx(1.5)
    uncounted = judged(paired("cool", EQUAL, losses_of_metric=KEPT))
    assert uncounted.energy_ratio is None
    width, narrower = ((r.time_ratio.high or 0) for r in (result, uncounted) if r.time_ratio)
    assert width > narrower
