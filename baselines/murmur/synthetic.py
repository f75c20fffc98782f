"""Synthetic heart sounds, any number of patients; no medical meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.murmur.circor import RATE_HZ, Patient, Recording

LOCATIONS = ("AV", "MV")
LOUD = 8000.0
"""Height of a heart sound, of 32,767."""


@dataclass(frozen=True)
class Synthetic:
    """Two recordings a patient; a third have a murmur, a sixth too much noise to tell."""

    count: int
    seconds: float
    name: str = "synthetic"

    @property
    def signature(self) -> str:
        """Change with what is made."""
        return f"synthetic 1, {self.count} patients of {self.seconds} s"

    def patients(self) -> Iterator[Patient]:
        """Yield the patients, always the same ones."""
        for number in range(self.count):
            random = np.random.default_rng((3, number))
            murmur = (0, 2, 0, 2, 1, 2)[number % 6]
            outcome = int(random.random() < (0.2 if murmur == 0 else 0.6))
            sounds = tuple(Recording(place, self._sound(murmur, random)) for place in LOCATIONS)
            yield Patient(str(90000 + number), str(90000 + number), murmur, outcome, sounds)

    def _sound(self, murmur: int, random: np.random.Generator) -> NDArray[np.int16]:
        length, period = int(self.seconds * RATE_HZ), random.uniform(0.5, 0.9)
        since = (np.arange(length) / RATE_HZ - random.uniform(0, period)) % period
        sound = _thump(since, 0.05, 60) + 0.7 * _thump(since, 0.05 + 0.4 * period, 90)
        noise = random.standard_normal(length)
        sound += noise * (0.3 if murmur == 1 else 0.01)
        if murmur == 0:  # between the first sound and the second
            sound += 0.8 * np.sin(2 * np.pi * 250 * since + noise) * (np.abs(since - 0.2) < 0.1)
        made: NDArray[np.int16] = (LOUD * sound).clip(-32767, 32767).astype(np.int16)
        return made


def _thump(since: NDArray[np.float64], at: float, hertz: float) -> NDArray[np.float64]:
    made: NDArray[np.float64] = np.exp(-0.5 * ((since - at) / 0.02) ** 2) * np.sin(
        2 * np.pi * hertz * since
    )
    return made
