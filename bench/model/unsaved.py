"""Keep what a model's state dict leaves out: buffers that aren't persistent, counters, tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
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
    """Let a model have again what was kept; tensors of the same shape stay the same objects."""
    modules = dict(model.named_modules())  # a ScriptModule gives no part of it by its name
    places = {name: name.rpartition(".") for name in kept}
    before = {name: getattr(modules[at], own, None) for name, (at, _, own) in places.items()}
    times = Counter(map(id, before.values()))
    for name, value in kept.items():
        at, _, own = places[name]
        if isinstance(value, Tensor):
            old = before[name]
            alone = times[id(old)] == 1  # others were made of it, and have other numbers since
            value = old if alone and _took(old, value) else value.clone()
        setattr(modules[at], own, value)


def _took(old: object, value: Tensor) -> bool:
    """Copy a value into a tensor where it lies, if it can be; tell whether it was."""
    if not isinstance(old, Tensor) or old.grad_fn is not None or old.is_inference():
        return False
    spread = any(step == 0 and size > 1 for step, size in zip(old.stride(), old.shape, strict=True))
    if spread or (old.shape, old.dtype, old.device) != (value.shape, value.dtype, value.device):
        return False
    with torch.no_grad():
        old.copy_(value)
    return True
