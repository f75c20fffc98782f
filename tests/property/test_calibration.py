"""How often the verdicts are wrong: on simulated runs of six pairs, of which the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.analysis.comparison import compare
from bench.analysis.levels import Rule
from bench.analysis.results import ArmResult, Comparison
from bench.analysis.verdict import Verdict
from bench.baseline import Target
from bench.records.measurement import CONTROL, Measurement
from tests.records import MIB, measurement

PAIRS = 6
RUNS = 700
TIME_NOISE, MEMORY_NOISE = 0.03, 0.005
MARGIN = 0.01


def simulated(
    random: np.random.Generator, arm: str, *, gain: float = 1.0, saving: float = 1.0,
    loss: float = 0.0, noise: float = 0.004, time_noise: float = TIME_NOISE,
) -> list[Measurement]:  # fmt: skip
    """Return a run of which the truth is `gain`, `saving` and `loss`."""
    trials = []
    for pair in range(PAIRS):
        for name, g, s, lost in (("baseline", 1.0, 1.0, 0.0), (arm, gain, saving, loss)):
            trials.append(
                measurement(
                    name, pair, seconds=math.exp(random.normal(0, time_noise)) / g,
                    memory=50 * MIB * math.exp(random.normal(0, MEMORY_NOISE)) / s,
                    metric=0.9 - lost + random.normal(0, noise / math.sqrt(2)),
                )
            )  # fmt: skip
    return trials


def judged(random: np.random.Generator, **truth: float) -> ArmResult:
    return whole(simulated(random, "arm", **truth)).arms[0]


def whole(trials: list[Measurement]) -> Comparison:
    return compare(trials, MARGIN, Target("accuracy"), rules={"test": Rule(PAIRS, PAIRS)})


def share_of_wins(runs: int = RUNS, **truth: float) -> float:
    random = np.random.default_rng(20261120)
    return sum(judged(random, **truth).verdict is Verdict.WIN for _ in range(runs)) / runs


def test_a_gain_of_just_one_percent_wins_in_at_most_5_percent_of_runs() -> None:
    """The hardest case: 5 % is the promise, 2.5 % more is chance in 700 runs."""
    assert share_of_wins(gain=1.01, saving=1.01) <= 0.075


def test_the_same_code_on_a_very_noisy_machine_wins_in_at_most_5_percent_of_runs() -> None:
    assert share_of_wins(500, time_noise=0.3) <= 0.05


def test_a_true_gain_of_30_percent_wins_in_at_least_95_percent_of_runs() -> None:
    assert share_of_wins(500, gain=1.3) >= 0.95


def test_a_true_saving_of_10_percent_wins_in_at_least_95_percent_of_runs() -> None:
    assert share_of_wins(500, saving=1.1) >= 0.95


def test_a_true_loss_of_5_points_wins_in_at_most_5_percent_of_runs() -> None:
    assert share_of_wins(500, gain=1.3, loss=0.05, noise=0.03) <= 0.05


def test_a_true_loss_of_the_margin_wins_in_about_5_percent_of_runs() -> None:
    """The hardest case: 5 % is the promise, 2.5 % more is chance in 700 runs."""
    assert share_of_wins(gain=1.3, loss=MARGIN, noise=0.01) <= 0.075


def test_a_true_loss_of_5_points_is_found() -> None:
    random = np.random.default_rng(1)
    found = [judged(random, gain=1.3, loss=0.05).verdict for _ in range(200)]
    assert found.count(Verdict.ACCURACY_LOSS) >= 190


@pytest.mark.parametrize("truth", [1.0, 1.2])
def test_the_interval_of_time_holds_the_truth_as_often_as_it_says(truth: float) -> None:
    random = np.random.default_rng(2)
    ratios = [judged(random, gain=truth).time_ratio for _ in range(800)]
    bounds = [(r.low, r.high) for r in ratios if r is not None]
    inside = [low is not None and high is not None and low <= truth <= high for low, high in bounds]
    assert 0.93 <= sum(inside) / len(inside) <= 0.97


def test_the_control_shows_an_effect_of_the_size_of_the_noise() -> None:
    random = np.random.default_rng(3)
    trials = [simulated(random, CONTROL) for _ in range(100)]
    seen = [whole(t).smallest_visible_effect or 0.0 for t in trials]
    assert 0.05 < float(np.median(seen)) < 0.1


def test_most_undecided_runs_say_how_many_more_pairs_would_decide() -> None:
    random = np.random.default_rng(4)
    results = [judged(random, gain=1.03, time_noise=0.05) for _ in range(200)]
    open_ones = [r for r in results if r.verdict is Verdict.UNDECIDED]
    assert len(open_ones) > 100
    assert sum(r.more_pairs is not None for r in open_ones) > len(open_ones) / 2


def test_a_small_test_part_does_not_hide_a_true_loss_of_5_points() -> None:
    """With few test items accuracies are often equal, and their interval has no width."""
    random, wins = np.random.default_rng(5), 0
    for _ in range(500):
        trials = []
        for pair in range(PAIRS):
            for name, truth, gain in (("baseline", 0.97, 1.0), ("arm", 0.92, 1.5)):
                metric = random.binomial(22, truth) / 22
                trials.append(measurement(name, pair, seconds=1 / gain, metric=metric))
        wins += whole(trials).arms[0].verdict is Verdict.WIN
    assert wins / 500 <= 0.05
