"""Numbers of 16 bits, and what has to be computed in 32."""

from __future__ import annotations

import torch
from torch import Tensor

HALVES = frozenset({torch.float16, torch.bfloat16})


def widened(numbers: Tensor) -> Tensor:
    """Return numbers of 16 bits in 32, others as they are."""
    return numbers.float() if numbers.dtype in HALVES else numbers
