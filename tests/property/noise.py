"""Simulated noise of trials: pairs of which the truth is known, many runs at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Values]
"""Log times of trials of SD 1; the last two axes are (pairs, the two trials of a pair)."""


def gauss(random: np.random.Generator, shape: tuple[int, ...]) -> Values:
    return random.normal(size=shape)


def heavy(random: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Student's t of 3 degrees, of SD 1."""
    return random.standard_t(3, shape) / math.sqrt(3)


def drift(random: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """A random walk of the machine's speed, beside what every trial has of its own."""
    steps = random.normal(size=(*shape[:-2], shape[-2] * shape[-1])) * 0.5
    return np.cumsum(steps, -1).reshape(shape) + random.normal(size=shape) * 0.85


def spikes(share: float, deviation: float) -> Noise:
    """Return noise in which so many trials take 1.5 to 3 times as long, beside Gaussian noise."""

    def made(random: np.random.Generator, shape: tuple[int, ...]) -> Values:
        spike = (random.random(shape) < share) * np.log(random.uniform(1.5, 3, shape))
        return np.asarray(random.normal(size=shape) + spike / deviation)

    return made


def log_ratios(
    random: np.random.Generator, runs: int | tuple[int, ...], truth: float, deviation: float,
    noise: Noise = gauss, pairs: int = 30,
) -> Values:  # fmt: skip
    """Return log ratios ``(runs, pairs)`` of a true ratio; `deviation` is that of one trial."""
    runs = (runs,) if isinstance(runs, int) else runs
    trials = deviation * noise(random, (*runs, pairs, 2))
    return np.asarray(math.log(truth) + trials[..., 0] - trials[..., 1])


def metric_differences(
    random: np.random.Generator, runs: int, loss: float, flips: float, items: int, pairs: int = 30
) -> Values:
    """Return metric differences of models that lose `loss`, and flip so many items each way."""
    won = random.binomial(items, flips, (runs, pairs))
    return np.asarray((won - random.binomial(items, min(1.0, flips + loss), (runs, pairs))) / items)


def item_changes(
    random: np.random.Generator, runs: int, loss: float, flips: float, items: int,
    seeds: float = 0.0, pairs: int = 30,
) -> tuple[Values, Values]:  # fmt: skip
    """Return metric differences, and mean squared changes of items, of models as above.

    Beside the flips each pair of trainings is better or worse by an effect of SD `seeds`.
    """
    luck = random.normal(size=(runs, pairs)) * seeds
    won = random.binomial(items, np.clip(flips + np.maximum(luck, 0), 0, 1))
    lost = random.binomial(items, np.clip(flips + loss + np.maximum(-luck, 0), 0, 1))
    return np.asarray((won - lost) / items), np.asarray((won + lost) / items)
