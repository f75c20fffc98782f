"""What a metric is judged by: its direction, and a margin that may be a share of it."""

from __future__ import annotations

import math
import re

import pytest

from bench.analysis.claims import judged as judged_claim
from bench.analysis.comparison import compare
from bench.analysis.levels import Rule
from bench.analysis.results import ArmResult
from bench.analysis.verdict import Verdict
from bench.baseline import Direction, Target
from bench.errors import BenchError
from bench.records.measurement import BASELINE, CONTROL, Evaluation
from bench.run.start import margin_of
from reports import formatting
from tests.records import claim, measurement

PAIRS = 8
PRICES = [19_000.0 + 20 * seed for seed in range(PAIRS)]


def judged(factor: float, target: Target, margin: float = 0.02) -> ArmResult:
    """Judge an arm that takes half the time, and whose metric is so many times the baseline's."""
    trials = [
        trial
        for pair, price in enumerate(PRICES)
        for trial in (
            measurement(pair=pair, metric=price, seconds=2.0),
            measurement("other", pair, metric=factor * price + pair % 3, seconds=1.0),
        )
    ]
    rules = {"test": Rule(PAIRS, PAIRS)}
    return compare(trials, margin, target, rules=rules).arms[0]  # type: ignore[arg-type]  # purposes


@pytest.mark.parametrize(
    ("factor", "direction", "verdict"),
    [
        (1.001, "lower", Verdict.WIN), (0.5, "lower", Verdict.WIN),
        (1.5, "lower", Verdict.ACCURACY_LOSS), (1.5, "higher", Verdict.WIN),
        (0.5, "higher", Verdict.ACCURACY_LOSS), (0.5, None, Verdict.ACCURACY_LOSS),
    ],
)  # fmt: skip
def test_a_metric_is_kept_by_its_direction(
    factor: float, direction: Direction | None, verdict: Verdict
) -> None:
    assert judged(factor, Target("rmse", None, None, direction, 0.02)).verdict is verdict


def test_a_loss_of_a_lower_metric_is_said_as_a_rise_and_a_share() -> None:
    found = judged(1.5, Target("rmse", direction="lower", relative_margin=0.02))
    assert re.fullmatch(
        r"the metric rose by at least (49.9|50.0)\d % \(one-sided, 9\d %\)", found.reason
    )
    assert found.metric_difference is not None
    assert found.metric_difference.middle == pytest.approx(0.5, abs=1e-3)
    assert formatting.difference_with_interval(found.metric_difference, True).startswith("+50.0")


def test_a_margin_in_the_metric_s_own_units_stays_one() -> None:
    assert judged(1.001, Target("rmse", direction="lower"), margin=0.02).verdict is not Verdict.WIN
    assert judged(1.001, Target("rmse", direction="lower"), margin=50.0).verdict is Verdict.WIN


@pytest.mark.parametrize(
    ("target", "before", "after", "gain"),
    [
        (Target("accuracy"), 0.8, 0.7, -0.1), (Target("loss", direction="lower"), 0.8, 0.7, 0.1),
        (Target("rmse", direction="lower", relative_margin=0.1), 200.0, 210.0, -0.05),
        (Target("neg_elbo", relative_margin=0.1), -200.0, -210.0, -0.05),
    ],
)  # fmt: skip
def test_a_gain_is_counted_as_the_margin_is(
    target: Target, before: float, after: float, gain: float
) -> None:
    assert target.gain(before, after) == pytest.approx(gain)


def test_a_share_of_nothing_is_unknown() -> None:
    assert math.isnan(Target("rmse", direction="lower", relative_margin=0.1).gain(0.0, 1.0))


def test_a_target_of_a_lower_metric_is_reached_from_above() -> None:
    falling = tuple(
        Evaluation(epoch=n, step=n, train_seconds=10.0 * n, values={"ppl": 100.0 / n})
        for n in (1, 2, 3)
    )
    trials = [measurement(metric=33.3, metrics=falling)]
    assert (
        compare(trials, 0.01, Target("ppl", 50.0, direction="lower")).baseline_seconds_to_target
        == 20
    )


@pytest.mark.parametrize("name", ["loss", "val_loss", "RMSE", "test/mae", "ppl", "WER", "cer"])
def test_a_metric_that_is_better_lower_and_says_no_direction_is_doubted(name: str) -> None:
    said = Target(name).doubt()
    assert said is not None
    assert f'Target({name!r}, direction="lower")' in said
    assert Target(name, direction="lower").doubt() is None
    assert Target(name, direction="higher").doubt() is None


@pytest.mark.parametrize("name", ["accuracy", "neg_mse", "AUROC", "glossary", "f1", "-loss_neg"])
def test_other_metrics_are_not_doubted(name: str) -> None:
    assert Target(name).doubt() is None


def test_a_direction_and_a_margin_that_mean_nothing_are_refused() -> None:
    with pytest.raises(BenchError, match='direction=\'down\' is neither "higher" nor "lower"'):
        Target("rmse", direction="down")  # type: ignore[arg-type]  # a user's mistake
    with pytest.raises(BenchError, match="relative_margin=-1 is no share of 0 or more"):
        Target("rmse", relative_margin=-1)


@pytest.mark.parametrize(
    ("measured", "holds"), [(18_000.0, True), (19_300.0, True), (25_000.0, False)]
)
def test_a_claim_of_a_lower_metric_holds_where_it_is_not_higher(
    measured: float, holds: bool
) -> None:
    made = claim(
        verdict=BASELINE, metric_name="rmse", metric=(18_900.0, 19_000.0, 19_100.0), margin=0.02,
        margin_is_relative=True, metric_direction="lower", time_ratio=(1.0, 1.0, 1.0),
        memory_ratio=None, time_basis="step",
    )  # fmt: skip
    trials = [
        measurement(arm, pair, metric=measured + pair)
        for pair in range(PAIRS)
        for arm in (BASELINE, CONTROL)
    ]
    target = Target("rmse", direction="lower", relative_margin=0.02)
    measured_now = compare(trials, 0.02, target, rules={"test": Rule(PAIRS, PAIRS)})
    found = judged_claim(made, measured_now, trials)
    assert (found.problems == []) is holds


def test_a_margin_is_the_one_asked_for_else_the_target_s_else_a_hundredth() -> None:
    shared = Target("rmse", direction="lower", relative_margin=0.05)
    assert [margin_of(None, shared), margin_of(0.2, shared)] == [0.05, 0.2]
    assert margin_of(None, Target("accuracy")) == 0.01
