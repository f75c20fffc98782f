"""Synthetic images: noise with a blob whose place tells the class; always the same ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PARTS = {"train": 0.7, "val": 0.15, "test": 0.15}
NOISE, STRENGTH = 20.0, 60.0
"""Grey levels: the deviation of the noise, the height of the blob."""


def make(
    part: str, images: int, classes: int, size: int, channels: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return one part's images ``(N, C, size, size)`` and their classes ``(N,)``, which take turns.

    `images` is how many there are in all parts together.
    """
    count = max(classes, round(images * PARTS[part]))
    random = np.random.default_rng(list(PARTS).index(part))
    labels = np.arange(count) % classes
    angle = 2 * np.pi * labels / classes
    centre = 0.5 + 0.22 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    centre += random.normal(0, 0.03, centre.shape)
    axis = (np.arange(size) + 0.5) / size
    down, across = (np.exp(-(((axis - c[:, None]) / 0.1) ** 2)) for c in centre.T)
    values = 110 + STRENGTH * down[:, :, None] * across[:, None, :]
    values = values[:, None] + random.normal(0, NOISE, (count, channels, size, size))
    return values.clip(0, 255).astype(np.uint8), labels
