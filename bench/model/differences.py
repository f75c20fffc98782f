"""How far two answers of models lie apart, where some of their numbers are infinite or none."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def difference(one: Tensor, other: Tensor) -> float:
    """Return the largest difference of tensors of one shape, as a share of the first's largest.

    Infinities and NaN are the same where both have them, and infinitely far from numbers.
    """
    if not one.numel():
        return 0.0
    ones, others = _real(one), _real(other)
    same = (ones == others) | (ones.isnan() & others.isnan())
    far = torch.where(same, 0.0, (ones - others).abs()).nan_to_num(math.inf, math.inf)
    largest = float(torch.where(torch.isfinite(ones), ones, 0.0).abs().max())
    return float(far.max()) / (largest or 1.0)


def _real(numbers: Tensor) -> Tensor:
    """Return numbers in 64 bits, complex ones as pairs."""
    pairs = torch.view_as_real(numbers.resolve_conj()) if numbers.is_complex() else numbers
    return pairs.detach().double()
