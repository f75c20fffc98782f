"""Freeze a part of a model: no gradients, and evaluation mode whatever the whole is in."""

from __future__ import annotations

import torch
from torch import nn

from bench.batches import Outputs


def freeze(module: nn.Module) -> None:
    """Change `module` in place, so that names and weights stay as they are."""
    module.requires_grad_(False)
    module.eval()
    if not getattr(module, "frozen", False):
        module.__class__ = _frozen(type(module))


def _frozen(kind: type[nn.Module]) -> type[nn.Module]:
    def forward(self: nn.Module, *args: object, **kwargs: object) -> Outputs:
        with torch.no_grad():
            return kind.forward(self, *args, **kwargs)

    def train(self: nn.Module, mode: bool = True) -> nn.Module:
        return kind.train(self, False)

    parts = {"forward": forward, "train": train, "frozen": True, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), parts)
