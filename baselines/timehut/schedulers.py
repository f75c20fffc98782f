"""The 13 temperature schedules: pure functions of the epoch and of `Range`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import cos, exp, pi

from baselines.timehut.settings import ScheduleName


@dataclass(frozen=True, slots=True)
class Range:
    """What a schedule moves in: ``low`` to ``high`` (m, M), over ``period`` epochs (P)."""

    low: float
    high: float
    period: int

    @property
    def width(self) -> float:
        """Return R = M − m."""
        return self.high - self.low


Losses = Sequence[float]
Schedule = Callable[[int, Range, Losses], float]
"""``schedule(epoch, range, losses of the finished epochs)``; all but one ignore the losses."""


def _cosine(share: float) -> float:
    """Fall from 1 at share 0 to 0 at share 1, and rise again beyond."""
    return 0.5 * (1 + cos(pi * share))


def cosine_annealing(epoch: int, r: Range, losses: Losses = ()) -> float:
    """m + R/2 · (1 + cos(πe/P)); swings back to M at 2P, as published."""
    return r.low + r.width * _cosine(epoch / r.period)


def linear_decay(epoch: int, r: Range, losses: Losses = ()) -> float:
    """M − R·e/P, then m."""
    return r.high - r.width * min(epoch / r.period, 1.0)


def exponential_decay(epoch: int, r: Range, losses: Losses = ()) -> float:
    """M·0.95^e, never below m."""
    return max(r.low, r.high * 0.95**epoch)


def step_decay(epoch: int, r: Range, losses: Losses = ()) -> float:
    """Halve M every third of the period, never below m."""
    return max(r.low, r.high * 0.5 ** (epoch // _third(r)))


def polynomial_decay(epoch: int, r: Range, losses: Losses = ()) -> float:
    """m + R·(1 − e/P)², then m."""
    return r.low + r.width * (1 - min(epoch / r.period, 1.0)) ** 2


def sigmoid_decay(epoch: int, r: Range, losses: Losses = ()) -> float:
    """m + R / (1 + exp(e − P/2))."""
    return r.low + r.width / (1 + exp(min(epoch - r.period / 2, 700.0)))


def warmup_cosine(epoch: int, r: Range, losses: Losses = ()) -> float:
    """Rise from m to M in two epochs, fall as a cosine to m at P, then m."""
    warm_up = 2
    if epoch < warm_up:
        return r.low + r.width * epoch / warm_up
    return r.low + r.width * _cosine(min((epoch - warm_up) / max(r.period - warm_up, 1), 1.0))


def constant(epoch: int, r: Range, losses: Losses = ()) -> float:
    """M throughout."""
    return r.high


def cyclic(epoch: int, r: Range, losses: Losses = ()) -> float:
    """A sawtooth: from M linearly towards m, again every third of the period."""
    third = _third(r)
    return r.high - r.width * (epoch % third) / third


def no_scheduling(epoch: int, r: Range, losses: Losses = ()) -> float:
    """1 throughout: plain contrast without a temperature."""
    return 1.0


def adaptive_cosine_annealing(epoch: int, r: Range, losses: Losses = ()) -> float:
    """Cosine annealing whose R is scaled by the relative change of the last epoch's loss.

    A loss that rose by a tenth widens R by a tenth; the factor stays within 0.5 and 1.5.
    """
    factor = 1.0
    if len(losses) >= 2 and losses[-2] != 0:
        factor = min(max(1 + (losses[-1] - losses[-2]) / abs(losses[-2]), 0.5), 1.5)
    return r.low + factor * r.width * _cosine(epoch / r.period)


def multi_cycle_cosine(epoch: int, r: Range, losses: Losses = ()) -> float:
    """Restart a cosine every third of the period, each cycle 0.8 times as high."""
    cycle, within = divmod(epoch, _third(r))
    return r.low + r.width * 0.8**cycle * _cosine(within / _third(r))


def cosine_with_restarts(epoch: int, r: Range, losses: Losses = ()) -> float:
    """Restart a cosine after 5 epochs, then after periods 1.5 times as long each time."""
    start, period = 0.0, 5.0
    while epoch >= start + period:
        start, period = start + period, period * 1.5
    return r.low + r.width * _cosine((epoch - start) / period)


def _third(r: Range) -> int:
    return max(r.period // 3, 1)


SCHEDULES: Mapping[ScheduleName, Schedule] = {
    "cosine_annealing": cosine_annealing,
    "linear_decay": linear_decay,
    "exponential_decay": exponential_decay,
    "step_decay": step_decay,
    "polynomial_decay": polynomial_decay,
    "sigmoid_decay": sigmoid_decay,
    "warmup_cosine": warmup_cosine,
    "constant": constant,
    "cyclic": cyclic,
    "no_scheduling": no_scheduling,
    "adaptive_cosine_annealing": adaptive_cosine_annealing,
    "multi_cycle_cosine": multi_cycle_cosine,
    "cosine_with_restarts": cosine_with_restarts,
}
