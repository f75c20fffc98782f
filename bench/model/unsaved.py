"""Keep what a model's state dict leaves out: buffers that aren't persistent, counters, tensors."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from bench.model.module_state import OWN

NUMBERS = (bool, int, float)


def unsaved(model: nn.Module) -> dict[str, object]:
    """Return a copy of the buffers that aren't in a state dict, and of attributes' numbers.

    And of tensors in attributes, such as a recurrent state; not of those with a history, which the
    next pass makes again.
    """
    saved = model.state_dict()
    found: dict[str, object] = {
        name: buffer.clone() for name, buffer in model.named_buffers() if name not in saved
    }
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            where = f"{name}.{attribute}" if name else attribute
            if type(value) in NUMBERS and attribute not in OWN:
                found[where] = value
            elif isinstance(value, Tensor) and value.grad_fn is None:
                found[where] = value.detach().clone()
    return found


def put_back(model: nn.Module, kept: Mapping[str, object]) -> None:
    """Let a model have again what was kept."""
    modules = dict(model.named_modules())  # a ScriptModule gives no part of it by its name
    for name, value in kept.items():
        owner, _, own = name.rpartition(".")
        setattr(modules[owner], own, value.clone() if isinstance(value, Tensor) else value)
