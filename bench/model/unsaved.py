"""Keep what a model's state dict leaves out: buffers that aren't persistent, and counters."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from bench.model.module_state import OWN

NUMBERS = (bool, int, float)


def unsaved(model: nn.Module) -> dict[str, object]:
    """Return a copy of the buffers that aren't in a state dict, and of numbers in attributes."""
    saved = model.state_dict()
    found: dict[str, object] = {
        name: buffer.clone() for name, buffer in model.named_buffers() if name not in saved
    }
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if type(value) in NUMBERS and attribute not in OWN:
                found[f"{name}.{attribute}" if name else attribute] = value
    return found


def put_back(model: nn.Module, kept: Mapping[str, object]) -> None:
    """Let a model have again what was kept."""
    modules = dict(model.named_modules())  # a ScriptModule gives no part of it by its name
    for name, value in kept.items():
        owner, _, own = name.rpartition(".")
        setattr(modules[owner], own, value.clone() if isinstance(value, Tensor) else value)
