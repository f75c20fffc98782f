"""Two overlapping random crops of a batch, as in TS2Vec."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor
from torch.autograd.function import once_differentiable


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
        start = self.lengths[0] - self.overlap - self.windows[0]
        cut: Tensor = _Common.apply(z, start, self.overlap)  # type: ignore[no-untyped-call]
        return cut


class _Common(torch.autograd.Function):
    """The common parts, with one gradient: two slices would fill and add up a tensor each."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, start: int, overlap: int) -> Tensor:
        ctx.start, ctx.shape = start, z.shape
        first, second = z.chunk(2)
        return torch.cat([first.narrow(1, start, overlap), second[:, :overlap]], dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        whole = grad.new_zeros(ctx.shape)
        first, second = whole.chunk(2)
        overlap = grad.shape[1] // 2
        first.narrow(1, ctx.start, overlap).copy_(grad[:, :overlap])
        second[:, :overlap].copy_(grad[:, overlap:])
        return whole, None, None


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
    # indices by numpy: on arrays this small an operator of torch costs ten times as much
    columns = np.arange(steps if full else rounded(max(lengths), steps))
    inside = columns < np.repeat(lengths, rows)[:, None]
    width = steps if full else rounded(overlap, steps)
    views = Views(torch.from_numpy(inside).to(x.device), lengths, overlap, width)
    shift = np.array(crop.offsets)
    first = np.concatenate([shift + crop.outer_left, shift + crop.left])
    # padded columns repeat a last step: the encoder leaves them out, they only must exist
    time = np.minimum(first[:, None] + columns, steps - 1)
    flat = time + np.tile(np.arange(rows) * steps, 2)[:, None]
    rows_of_views = torch.from_numpy(flat.ravel()).to(x.device)
    return x.flatten(0, 1).index_select(0, rows_of_views).view(*flat.shape, -1), views


def rounded(length: int, steps: int) -> int:
    """Round a length up to one of about a dozen, for series of `steps` steps.

    Kernels are built for every shape that is met: for a new one, that costs more than the step.
    """
    grain = 4 * math.ceil(steps / 48)
    return math.ceil(length / grain) * grain
