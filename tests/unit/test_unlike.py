"""Beside a baseline whose equal trainings differ: what losses tell, and from when on nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bench.analysis.comparison import compare
from bench.analysis.levels import Rule
from bench.analysis.pairs import again, unlike
from bench.analysis.quality import Unlike
from bench.analysis.results import ArmResult
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from bench.records.measurement import BASELINE, CONTROL, Measurement, Purpose
from tests.records import LOSSES, failed, measurement

GAINS = (1.48, 1.5, 1.52, 1.49, 1.51, 1.5)
KEPT = (0.001, -0.001, 0.002, 0.0, -0.002, 0.0)
WIDE = (0.05, -0.05, 0.04, -0.04, 0.05, -0.05)
STEP: dict[str, Any] = {"kind": "step", "metric": None}
WHOLE: dict[str, Any] = {"metric": 0.9}


def shaken(by: float) -> tuple[float, ...]:
    """Return losses that differ by a share from those of any seed."""
    return tuple(loss * (1 - by) for loss in LOSSES)


def control(apart: Sequence[float], **facts: Any) -> list[Measurement]:
    """Return pairs of the baseline with itself, whose losses are so far apart."""
    return [
        trial
        for pair, by in enumerate(apart, 20)
        for trial in (
            measurement(pair=pair, **facts),
            measurement(CONTROL, pair, losses=shaken(by), **facts),
        )
    ]


def judged(
    equal: Sequence[float], own: Sequence[float], facts: dict[str, Any],
    lost: Sequence[float] | None = None, **arm: Any,
) -> ArmResult:  # fmt: skip
    """Return the verdict on a faster arm that does the same work, beside such a baseline."""
    trials = control(equal, **facts)
    for pair, by in enumerate(own):
        fell = {} if lost is None else {"metric": 0.9 - lost[pair]}
        trials.append(measurement(pair=pair, **facts))
        trials.append(measurement(
            "fast", pair, seconds=1 / GAINS[pair], losses=shaken(by),
            **{"work": "same work", "effect": "exact", **facts, **fell, **arm},
        ))  # fmt: skip
    (result,) = compare(trials, 0.01, Target("accuracy")).arms
    return result


@pytest.mark.parametrize("effect", ["exact", "rounding"])
def test_losses_tell_nothing_where_equal_trainings_differ_by_more_than_rounding(
    effect: str,
) -> None:
    found = judged([0.2, 0.35, 0.1], [0.3] * 6, STEP, effect=effect)
    assert (found.verdict, found.losses_agree, found.goes_on) == (Verdict.UNDECIDED, False, False)
    assert found.reason == (
        "faster, but losses of equal trainings differ by 35 %, so they tell nothing, and the "
        "metric was not measured: make the training repeat, by seeding every generator that it "
        "draws from"
    )


@pytest.mark.parametrize("effect", ["exact", "rounding"])
def test_the_metric_tells_where_losses_do_not(effect: str) -> None:
    kept = judged([0.35] * 3, [0.3] * 6, WHOLE, KEPT, effect=effect)
    assert (kept.verdict, kept.losses_agree) == (Verdict.WIN, False)
    wide = judged([0.35] * 3, [0.3] * 6, WHOLE, WIDE, effect=effect)
    assert (wide.verdict, wide.goes_on) == (Verdict.UNDECIDED, True)
    assert wide.reason == (
        "faster, but losses of equal trainings differ by 35 %, so they tell nothing, and losses "
        "of the metric beyond the margin are not excluded"
    )


def test_rounding_as_coarse_as_equal_trainings_differ_is_still_told_by_losses() -> None:
    found = judged([0.02] * 3, [0.03] * 6, STEP, effect="rounding", rounding=0.05)
    assert (found.verdict, found.losses_agree) == (Verdict.WIN, True)


def test_an_exact_arm_may_differ_by_more_than_the_most_that_few_equal_trainings_did() -> None:
    found = judged([1e-3, 5e-4], [2e-3, 4e-4, 3e-3, 1e-3, 8e-3, 6e-4], STEP)
    assert (found.verdict, found.losses_agree) == (Verdict.WIN, True)


def test_an_exact_arm_of_which_most_losses_are_far_is_not_kept_by_them() -> None:
    found = judged([1e-3, 5e-4], [0.02, 4e-4, 0.03, 0.01, 0.08, 0.06], STEP)
    assert (found.verdict, found.losses_agree) == (Verdict.UNDECIDED, False)
    assert found.reason == (
        "faster, but its losses differ by more than those of the baseline, which doesn't repeat, "
        "itself"
    )


@pytest.mark.parametrize("effect", ["exact", "rounding"])
def test_what_is_further_apart_than_rounding_never_agrees_however_few_equal_trainings_were_seen(
    effect: str,
) -> None:
    far, near = (judged([9e-3], [by] * 6, STEP, effect=effect) for by in (0.09, 9.5e-3))
    assert (far.verdict, far.losses_agree) == (Verdict.UNDECIDED, False)
    assert (near.verdict, near.losses_agree) == (Verdict.WIN, True)


def test_pairs_whose_baseline_failed_have_no_vote_on_losses() -> None:
    trials = control([1e-3, 5e-4], **STEP)
    for pair, gain in enumerate(GAINS):
        trials.append(failed(BASELINE, pair) if pair < 3 else measurement(pair=pair, **STEP))
        trials.append(measurement(
            "fast", pair, seconds=1 / gain, losses=shaken(0.05), work="same work", effect="exact",
            **STEP,
        ))  # fmt: skip
    rules: dict[Purpose, Rule] = {"test": Rule(6, 6)}
    (result,) = compare(trials, 0.01, Target("accuracy"), rules=rules).arms
    assert (result.verdict, result.losses_agree) == (Verdict.UNDECIDED, False)
    assert result.reason.startswith("faster, but its losses differ by more than those of the")


def test_the_more_equal_trainings_are_seen_the_nearer_losses_must_be() -> None:
    found = unlike(again(control([1e-3, 4e-3])))
    assert found is not None
    assert found.apart == pytest.approx(4e-3)
    assert found.pairs == 2
    assert Unlike(1e-3, 1).reach > Unlike(1e-3, 4).reach > Unlike(1e-3, 10).reach > 1e-3
