"""Synthetic ECG of the challenges' shape, any number of records; no medical meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.ecg_cnn.labels import ALL
from baselines.ecg_cnn.pack import LEADS, Raw

RATE_HZ, CLASSES, UNIT_MV = 500, 19, 1e-3
BEAT = ((-0.18, 0.025, 0.12), (0.0, 0.012, 1.0), (0.03, 0.012, -0.25), (0.26, 0.045, 0.3))
"""Seconds from the R peak, width in seconds and height in mV of P, R, S and T."""


@dataclass(frozen=True)
class Synthetic:
    """Records of one length; label k is there in about 1 of k + 2, and adds a wave of its own."""

    count: int
    length: int
    name: str = "synthetic"

    @property
    def signature(self) -> str:
        """Change with what is made."""
        return f"synthetic 1, {self.count} records of {self.length}"

    @property
    def samples(self) -> int:
        """Return how many samples all records have."""
        return self.count * self.length * len(LEADS)

    def records(self) -> Iterator[Raw]:
        """Yield the records, always the same ones."""
        shapes = np.random.default_rng(1)
        leads = shapes.normal(1.0, 0.4, (len(LEADS), len(BEAT)))
        waves = [
            (shapes.uniform(-0.3, 0.45), shapes.uniform(0.01, 0.03), shapes.normal(0, 0.4, 12))
            for _ in range(CLASSES)
        ]
        scales = np.full(len(LEADS), UNIT_MV, np.float32)
        for number in range(self.count):
            random = np.random.default_rng((2, number))
            there = random.random(CLASSES) < 1 / np.arange(2, CLASSES + 2)
            there[number % CLASSES] = True
            signal = _noise(self.length, random)
            beat = _since_a_beat(self.length, random)
            for k, (centre, width, height) in enumerate(BEAT):
                signal += leads[:, k, None] * height * _bump(beat, centre, width)
            for k in np.flatnonzero(there):
                centre, width, gains = waves[k]
                signal += gains[:, None] * _bump(beat, centre, width)
            labels = tuple(ALL[k] for k in np.flatnonzero(there))
            samples = np.rint(signal / UNIT_MV).astype(np.int16)
            yield Raw(f"S{number:05}", samples, scales, np.zeros(12, np.int16), labels)


def _noise(length: int, random: np.random.Generator) -> NDArray[np.float32]:
    seconds = np.arange(length, dtype=np.float32) / RATE_HZ
    drift = 0.1 * np.sin(2 * np.pi * random.uniform(0.1, 0.4) * seconds)
    made: NDArray[np.float32] = random.standard_normal((len(LEADS), length), np.float32)
    made *= 0.1
    made += drift
    return made


def _since_a_beat(length: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return the seconds from the nearest beat ``(length,)``, negative before it."""
    seconds, period = np.arange(length, dtype=np.float32) / RATE_HZ, random.uniform(0.6, 1.1)
    since = (seconds - random.uniform(0, period)) % period
    return np.where(since > period / 2, since - period, since)


def _bump(beat: NDArray[np.float32], centre: float, width: float) -> NDArray[np.float32]:
    made: NDArray[np.float32] = np.exp(-0.5 * ((beat - centre) / width) ** 2)
    return made
