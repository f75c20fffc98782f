"""Two overlapping random crops of a batch, as in TS2Vec."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor


class Views(NamedTuple):
    """How two views of a batch lie in one stacked tensor ``(2B, L, C)``.

    The first B rows are the first view, whose last steps are the common part; the others are the
    second view, whose first steps are. Each begins at column 0 and is padded behind its length.
    """

    inside: Tensor
    """``(2B, L)``, False in the padding."""
    lengths: tuple[int, int]
    overlap: int
    """Steps of the common part."""
    width: int
    """Columns of a window with the common part in it: `overlap`, rounded up."""

    @property
    def windows(self) -> tuple[int, int]:
        """Return the first column of either view's window."""
        return max(self.lengths[0] - self.width, 0), 0

    def common(self, z: Tensor) -> Tensor:
        """Cut the common parts, ``(B, 2 * overlap, C)``, out of the windows ``(2B, width, C)``."""
        first, second = z.chunk(2)
        start = self.lengths[0] - self.overlap - self.windows[0]
        return torch.cat([first.narrow(1, start, self.overlap), second[:, : self.overlap]], dim=1)


class Crop(NamedTuple):
    """A random cut: the common part ``[left, right)``, widened to either side for one view each."""

    outer_left: int
    left: int
    right: int
    outer_right: int
    offsets: tuple[int, ...]
    """How far each row's window is moved, which keeps all of it inside the series."""


def draw_crop(rows: int, steps: int, random: Generator) -> Crop:
    """Draw a crop: a common part of 2 to `steps` steps, and an offset per row."""
    # one call for all numbers: drawn one by one they cost more than the crop itself
    unit = torch.rand(4 + rows, generator=random, dtype=torch.float64).tolist()

    def between(share: float, low: int, high: int) -> int:  # low <= result <= high
        return low + int(share * (high - low + 1))

    overlap = between(unit[0], 2, steps)
    left = between(unit[1], 0, steps - overlap)
    right = left + overlap
    outer_left = between(unit[2], 0, left)
    outer_right = between(unit[3], right, steps)
    offsets = tuple(between(u, -outer_left, steps - outer_right) for u in unit[4:])
    return Crop(outer_left, left, right, outer_right, offsets)


def cut(x: Tensor, crop: Crop, full: bool = False) -> tuple[Tensor, Views]:
    """Cut both views ``(2B, L, C)`` out of series ``(B, T, C)``.

    L is a rounded length; with `full` it is T for every crop, which is more work in one shape.
    """
    rows, steps, _ = x.shape
    lengths = (crop.right - crop.outer_left, crop.outer_right - crop.left)
    overlap = crop.right - crop.left
    columns = torch.arange(steps if full else rounded(max(lengths), steps))
    inside = columns < torch.tensor(lengths).repeat_interleave(rows)[:, None]
    width = steps if full else rounded(overlap, steps)
    views = Views(inside.to(x.device), lengths, overlap, width)
    shift = torch.tensor(crop.offsets)
    first = torch.cat([shift + crop.outer_left, shift + crop.left])
    # padded columns repeat a last step: the encoder leaves them out, they only must exist
    time = (first[:, None] + columns).clamp_(max=steps - 1)
    flat = time + torch.arange(rows).repeat(2)[:, None] * steps
    return x.flatten(0, 1)[flat.to(x.device)], views


def rounded(length: int, steps: int) -> int:
    """Round a length up to one of about a dozen, for series of `steps` steps.

    Kernels are built for every shape that is met: for a new one, that costs more than the step.
    """
    grain = 4 * math.ceil(steps / 48)
    return math.ceil(length / grain) * grain
