"""Each temperature schedule at its end points, in between and beyond its period."""

from __future__ import annotations

from typing import get_args

import pytest

from baselines.timehut.schedulers import SCHEDULES, Range
from baselines.timehut.settings import ScheduleName

R = Range(low=0.15, high=0.95, period=24)
VALUES: dict[str, dict[int, float]] = {
    "cosine_annealing": {0: 0.95, 12: 0.55, 24: 0.15, 48: 0.95},
    "linear_decay": {0: 0.95, 12: 0.55, 24: 0.15, 100: 0.15},
    "exponential_decay": {0: 0.95, 1: 0.9025, 24: 0.95 * 0.95**24, 500: 0.15},
    "step_decay": {0: 0.95, 7: 0.95, 8: 0.475, 16: 0.2375, 24: 0.15, 500: 0.15},
    "polynomial_decay": {0: 0.95, 12: 0.35, 24: 0.15, 100: 0.15},
    "sigmoid_decay": {0: 0.95, 12: 0.55, 24: 0.15, 5000: 0.15},
    "warmup_cosine": {0: 0.15, 1: 0.55, 2: 0.95, 13: 0.55, 24: 0.15, 100: 0.15},
    "constant": {0: 0.95, 24: 0.95, 500: 0.95},
    "cyclic": {0: 0.95, 4: 0.55, 7: 0.25, 8: 0.95, 12: 0.55},
    "no_scheduling": {0: 1.0, 24: 1.0, 500: 1.0},
    "adaptive_cosine_annealing": {0: 0.95, 12: 0.55, 24: 0.15},
    "multi_cycle_cosine": {0: 0.95, 4: 0.55, 8: 0.15 + 0.8 * 0.8, 16: 0.15 + 0.8 * 0.64},
    "cosine_with_restarts": {0: 0.95, 5: 0.95, 12: 0.15874, 13: 0.94611},
}


def test_there_are_thirteen_and_each_has_its_values_here() -> None:
    assert set(SCHEDULES) == set(VALUES) == set(get_args(ScheduleName))
    assert len(SCHEDULES) == 13


@pytest.mark.parametrize("name", get_args(ScheduleName))
def test_a_schedule_has_its_values(name: ScheduleName) -> None:
    for epoch, expected in VALUES[name].items():
        assert SCHEDULES[name](epoch, R, ()) == pytest.approx(expected, abs=5e-4), epoch


@pytest.mark.parametrize("name", get_args(ScheduleName))
@pytest.mark.parametrize("period", [1, 2, 25])
def test_a_schedule_is_positive_and_bounded_whatever_the_period(
    name: ScheduleName, period: int
) -> None:
    limits = Range(0.15, 0.95, period)
    for epoch in range(300):
        losses = [10.0 / (k + 1) for k in range(epoch)]
        assert 0.15 - 1e-12 <= SCHEDULES[name](epoch, limits, losses) <= 1.0


def test_the_adaptive_schedule_widens_when_the_loss_rose_and_narrows_when_it_fell() -> None:
    schedule = SCHEDULES["adaptive_cosine_annealing"]
    assert schedule(0, R, [1.0, 1.1]) == pytest.approx(0.15 + 1.1 * 0.8)
    assert schedule(0, R, [1.0, 0.9]) == pytest.approx(0.15 + 0.9 * 0.8)
    assert schedule(0, R, [1.0, 99.0]) == pytest.approx(0.15 + 1.5 * 0.8)
    assert schedule(0, R, [0.0, 1.0]) == pytest.approx(0.95)
