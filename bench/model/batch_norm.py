"""Batch norm, which has no statistics of a single item."""

from __future__ import annotations

from torch import nn


def has_batch_norm(model: nn.Module) -> bool:
    """Return whether a model takes statistics of its batches."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
