"""Give a model other weights for a while: those that it begins with may hide what it computes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def varied(model: nn.Module, seed: int = 0) -> Iterator[None]:
    """Add random numbers to all weights for a while, so that answers differ from item to item."""
    draw, kept = torch.Generator().manual_seed(seed), []
    with torch.no_grad():
        for weight in model.parameters():
            if weight.is_floating_point() and weight.numel() > 1:
                kept.append((weight, weight.clone()))
                width = math.sqrt(weight[0].numel() if weight.dim() > 1 else weight.numel())
                drawn = torch.randn(weight.shape, generator=draw)
                weight.add_(drawn.to(weight), alpha=1 / width)  # answers of about 1
        try:
            yield
        finally:
            for weight, old in kept:
                weight.copy_(old)
