"""Switch a model to evaluation mode for a while, and restore the mode of each of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Restore at the end which modules train: ``model.train()`` would wake frozen ones too.

    Each is told, outer ones first, since some do more than take it down: layers of LoRA merge their
    weights. The flags are set again where a module shared by several, or its own code, differs.
    """
    before = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, training in before.items():
            if module.training != training:
                module.train(training)
        for module, training in before.items():
            module.training = training


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run the block with the model in evaluation mode."""
    with modes_kept(model):
        model.eval()
        yield
