"""Synthetic ECG of PTB-XL's shape, for speed and for machines without data; no medical meaning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
RATE_HZ, SAMPLES, CLASSES = 100, 1000, 5
WAVES = ((-0.18, 0.025, 0.12), (-0.03, 0.010, -0.1), (0.0, 0.012, 1.0), (0.03, 0.012, -0.2),
         (0.25, 0.045, 0.3))  # fmt: skip
"""Centre against the R peak and width (s), height (mV) of P, Q, R, S and T."""
ORDER = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")


def make(count: int, leads: Sequence[str]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return signals ``(N, leads, 1000)``, labels ``(N, 5)`` and folds; always the same ones.

    Class k changes wave k; class 0, the normal one, stands alone. Folds go round, 1 to 10.
    """
    random = np.random.default_rng(0)
    labels = (random.random((count, CLASSES)) < 0.3).astype(np.float32)
    labels[np.arange(count), (np.arange(count) // 10) % CLASSES] = 1  # each class in each fold
    labels[labels[:, 1:].any(axis=1), 0] = 0
    labels[~labels.any(axis=1), 0] = 1
    gains = np.random.default_rng(1).normal(1.0, 0.4, (len(ORDER), len(WAVES)))
    chosen = gains[[ORDER.index(lead) for lead in leads]]
    signals = np.stack([_record(row, chosen, random) for row in labels])
    return signals.astype(np.float32), labels, np.arange(count) % 10 + 1


def _record(
    label: Floats, gains: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Return one record ``(leads, 1000)``: beats of five waves, and noise."""
    seconds = np.arange(SAMPLES) / RATE_HZ
    period = random.uniform(0.6, 1.1)
    since = (seconds - random.uniform(0, period)) % period
    beat = np.where(since > period / 2, since - period, since)
    signal = random.normal(0, 0.05, (len(gains), SAMPLES))
    signal += 0.1 * np.sin(2 * np.pi * random.uniform(0.1, 0.4) * seconds)
    for number, (centre, width, height) in enumerate(WAVES):
        changed = 1.6 if number > 0 and label[number] else 1.0
        shape = np.exp(-0.5 * ((beat - centre) / (width * changed)) ** 2)
        signal += gains[:, number, None] * height * changed * shape
    return signal
