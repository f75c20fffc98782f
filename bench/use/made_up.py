"""Make up rows that a model can be asked: a checkpoint holds no item, but their range.

Rows from the range of the data are of the model's own domain: indices that an embedding has, values
of which it can take the logarithm.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.errors import NotApplicable
from bench.records.checkpoint import Inputs


def inputs_of(rows: Tensor) -> Inputs:
    """Describe what a model is called with from rows of its data ``(n, ...)``."""
    dtype = str(rows.dtype).removeprefix("torch.")
    shape = tuple(rows.shape[1:])
    if rows.is_complex() or not rows.numel():
        return Inputs(shape=shape, dtype=dtype)
    finite = rows[torch.isfinite(rows)].double()
    if not finite.numel():
        return Inputs(shape=shape, dtype=dtype)
    return Inputs(shape=shape, dtype=dtype, low=float(finite.min()), high=float(finite.max()))


def can_make_up(inputs: Inputs) -> bool:
    """Tell whether rows can be made up: of numbers, and of whole ones if their range is known."""
    dtype: torch.dtype = getattr(torch, inputs.dtype)
    return dtype.is_floating_point or (inputs.low is not None and not dtype.is_complex)


def made_up(inputs: Inputs, count: int, seed: int = 0) -> Tensor:
    """Return random rows ``(count, ...)`` of the model's shape, from the range of its data."""
    random = torch.Generator().manual_seed(seed)
    dtype: torch.dtype = getattr(torch, inputs.dtype)
    if not can_make_up(inputs):
        raise NotApplicable(f"the model takes {inputs.dtype}, of which none can be made up")
    if inputs.low is None or inputs.high is None:
        return torch.randn(count, *inputs.shape, generator=random).to(dtype)
    if dtype.is_floating_point:
        shares = torch.rand(count, *inputs.shape, generator=random, dtype=torch.float64)
        return (inputs.low + (inputs.high - inputs.low) * shares).to(dtype)
    low, high = int(inputs.low), int(inputs.high)
    return torch.randint(low, high + 1, (count, *inputs.shape), generator=random).to(dtype)
