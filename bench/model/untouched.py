"""Try a model and leave it as it was: it may begin its weights or statistics at its first call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from bench.model.module_state import ModuleState


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put back at the end what the block changed of weights, buffers and attributes."""
    if any(isinstance(part, torch.jit.ScriptModule) for part in model.modules()):
        yield  # its attributes lie elsewhere, and can't be put back
        return
    state = ModuleState(model)
    weights = [(weight, weight.detach().clone()) for weight in model.parameters()]
    try:
        yield
    finally:
        state.put_back()
        with torch.no_grad():
            for weight, before in weights:
                if not torch.equal(weight, before):  # through ``data`` no version tells
                    weight.copy_(before)
