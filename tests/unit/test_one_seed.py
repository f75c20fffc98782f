"""A training that every seed repeats is one: its pairs are no replicates of quality."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis.comparison import compare
from bench.analysis.intervals import Interval
from bench.analysis.metric import metric_of
from bench.analysis.metric_fall import Fall, fall
from bench.analysis.pairs import ONE_SEED, distinct, has_one_seed, pairs_of
from bench.analysis.results import ArmResult
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from tests.records import LOSSES, measurement, paired

FASTER = (1.48, 1.5, 1.52, 1.49, 1.51, 1.5)


def judged(lost: float, base: dict[str, Any], target: str = "accuracy", **own: Any) -> ArmResult:
    """Return the verdict on a faster arm that loses the same of the metric in every pair."""
    trials = paired("fast", FASTER, losses_of_metric=[lost] * 6, baseline=base, **own)
    (result,) = compare(trials, 0.01, Target(target)).arms
    return result


SEEDED: dict[str, Any] = {"losses": LOSSES}
"""Of a script that seeds itself."""


@pytest.mark.parametrize("lost", [0.012, 0.008, 0.0, -0.02])
def test_what_one_training_loses_or_keeps_again_and_again_decides_nothing(lost: float) -> None:
    found = judged(lost, SEEDED)
    assert (found.verdict, found.reason) == (Verdict.UNDECIDED, f"faster, but {ONE_SEED}")
    assert (found.goes_on, found.more_pairs, found.needed_margin) == (False, None, None)
    assert found.metric_difference is not None
    assert (found.metric_difference.low, found.metric_difference.high) == (None, None)
    assert found.metric_difference.middle == pytest.approx(-lost)


@pytest.mark.parametrize(
    ("effect", "losses"),
    [("exact", LOSSES), ("rounding", tuple(loss * (1 + 1e-5) for loss in LOSSES))],
)
@pytest.mark.parametrize("lost", [0.012, 0.008])
def test_losses_that_agree_keep_what_has_one_seed(
    effect: str, losses: tuple[float, ...], lost: float
) -> None:
    same = 0.0 if effect == "exact" else lost
    found = judged(same, SEEDED, effect=effect, losses=losses, work="same work")
    assert (found.verdict, found.losses_agree) == (Verdict.WIN, True)
    assert found.metric_difference is not None
    assert found.metric_difference.middle == pytest.approx(-same)
    assert found.metric_difference.low is None


def test_rounding_beyond_its_own_is_not_kept_by_the_metric_of_one_seed() -> None:
    far = tuple(1.1 * loss for loss in LOSSES)
    found = judged(0.0, SEEDED, effect="rounding", losses=far, work="same work")
    assert (found.verdict, found.reason) == (Verdict.UNDECIDED, f"faster, but {ONE_SEED}")


def test_no_gain_is_told_of_one_seed_as_of_many() -> None:
    trials = paired("idle", (1.0, 1.001, 0.999, 1.0, 1.001, 1.0), baseline=SEEDED)
    (result,) = compare(trials, 0.01, Target("accuracy")).arms
    assert result.verdict is Verdict.NO_GAIN


def test_seeds_that_train_otherwise_to_the_same_metric_are_replicates() -> None:
    assert judged(0.012, {}).verdict is Verdict.ACCURACY_LOSS
    assert judged(0.008, {}).verdict is Verdict.WIN
    assert judged(0.012, {"losses": ()}).verdict is Verdict.ACCURACY_LOSS


def test_of_pairs_whose_baselines_train_the_same_the_first_counts() -> None:
    trials = paired("fast", FASTER[:4])
    trials[4] = trials[4].model_copy(update={"losses": trials[0].losses})
    pairs = pairs_of(trials, "fast")
    assert [baseline.pair for baseline, _ in distinct(pairs)] == [0, 1, 3]
    assert not has_one_seed(pairs)
    assert has_one_seed([pairs[0], pairs[2]])


def test_the_mean_of_one_training_counted_often_has_no_interval() -> None:
    own = [measurement(pair=pair, **SEEDED) for pair in range(6)]
    assert metric_of(own, Target("accuracy")) == Interval(None, 0.9, None)


@pytest.mark.parametrize("beside_baseline", [False, True])
@pytest.mark.parametrize("lost", [0.0, 0.3])
def test_the_fall_of_one_training_counted_often_is_not_told(
    lost: float, beside_baseline: bool
) -> None:
    old, new = (
        paired("fast", FASTER, losses_of_metric=[by] * 6, baseline=SEEDED, **SEEDED)
        for by in (0.0, lost)
    )
    found = fall(old, new, "fast", Target("accuracy"), 0.95, beside_baseline)
    assert found == Fall(None, f": {ONE_SEED}")
