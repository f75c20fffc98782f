"""Pairs whose baseline failed tell nothing: they do not thin out the trainings that failed."""

from __future__ import annotations

from bench.analysis.claims import judged
from bench.analysis.comparison import compare
from bench.analysis.levels import Rule
from bench.analysis.pairs import failures, pairs_made
from bench.analysis.proof import Proof
from bench.analysis.results import Comparison
from bench.analysis.revised import Answer, revised
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from bench.records.measurement import BASELINE, Measurement, Status
from bench.records.revisions import HEAD
from tests.records import claim, failed, paired
from tests.unit.test_revisions import compared, pairs

FASTER = (1.48, 1.5, 1.52, 1.49, 1.51, 1.5, 1.5, 1.49, 1.51, 1.5, 1.48)
KEPT = (0.001, -0.001, 0.002, 0.0, -0.002, 0.0, 0.001, -0.001, 0.002, 0.0, -0.002)


def with_lost(trials: list[Measurement], arm: str) -> list[Measurement]:
    """Return eleven pairs: the baseline failed in two of them, and the arm in two others."""
    lost = {(BASELINE, 0), (BASELINE, 1), (arm, 2), (arm, 3)}
    return [
        failed(t.arm, t.pair, Status.DIVERGED, "loss is nan") if (t.arm, t.pair) in lost else t
        for t in trials
    ]


def measured() -> tuple[Comparison, list[Measurement]]:
    trials = with_lost(paired("fast", FASTER, losses_of_metric=KEPT), "fast")
    return compare(trials, 0.01, Target("accuracy"), rules={"test": Rule(11, 11)}), trials


def test_two_failed_trainings_of_nine_whose_baseline_trained_are_a_loss() -> None:
    (result,) = measured()[0].arms
    assert (result.verdict, result.reason) == (
        Verdict.ACCURACY_LOSS,
        "2 of 9 trainings failed where the baseline's did not (diverged: loss is nan)",
    )


def test_two_failed_trainings_of_nine_break_a_claim() -> None:
    comparison, trials = measured()
    found = judged(claim(memory_ratio=None), comparison, trials)
    assert found.answer is Proof.BROKEN
    assert "2 of 9 trainings failed where the baseline's did not" in found.problems


def test_a_head_that_fails_in_two_of_nine_trainings_has_regressed() -> None:
    made = [*pairs(1.0), *pairs(1.0, first=4), *pairs(1.0, first=8)[:6]]
    found = revised(compared(mode="judge", first=None, repeats=11), with_lost(made, HEAD))
    assert (found.answer, found.reason) == (
        Answer.REGRESSED,
        "2 of 9 trainings failed where the base's did not (diverged: loss is nan)",
    )


def test_it_is_unknown_whether_a_candidate_fails_where_its_baseline_did() -> None:
    marks = failures(pairs_made(measured()[1], "fast"))
    assert [str(mark) for mark in marks] == ["nan", "nan", "1.0", "1.0", *["0.0"] * 7]
