"""From bytes to what the network sees: heavy augmentation, or rescaling alone; whole batches."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's channels, which published weights expect."""
DEGREES, ZOOM, SHIFT = 20.0, 0.2, 0.1
"""Of heavy augmentation: the largest rotation, change of scale, and shift by the sides."""


def rescaled(images: Tensor) -> Tensor:
    """Return bytes ``(B, 1 or 3, S, S)`` as normalised floats ``(B, 3, S, S)``."""
    return normalised(images.to(torch.get_default_dtype()))


def normalised(values: Tensor) -> Tensor:
    """Map values of 0 to 255 to what ImageNet's statistics make of them, grey ones three times."""
    mean, deviation = (
        255 * torch.tensor(value, device=values.device)[:, None, None]
        for value in (MEAN, DEVIATION)
    )
    return (values - mean) / deviation


def augmented(images: Tensor, random: torch.Generator) -> Tensor:
    """Return bytes turned, flipped, zoomed and shifted, each otherwise, as normalised floats.

    What comes in from outside repeats the border.
    """
    grid = functional.affine_grid(
        maps(len(images), random).to(images.device), list(images.shape), align_corners=False
    )
    values = images.to(torch.get_default_dtype())
    moved = functional.grid_sample(
        values, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return normalised(moved)


def maps(count: int, random: torch.Generator) -> Tensor:
    """Draw affine maps from places in the result to places in the image, ``(count, 2, 3)``."""
    turn, wide, high, across, down = (2 * torch.rand(5, count, generator=random) - 1).unbind()
    angle = turn * math.radians(DEGREES)
    flip = torch.randint(0, 2, (count,), generator=random) * 2 - 1
    wide, high = (1 + ZOOM * wide) * flip, 1 + ZOOM * high
    cosine, sine = angle.cos(), angle.sin()
    rows = (wide * cosine, -high * sine, 2 * SHIFT * across,
            wide * sine, high * cosine, 2 * SHIFT * down)  # fmt: skip
    return torch.stack(rows, 1).view(count, 2, 3)
