"""Write a model's state as a file of plain tensors, and tell its size."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from bench.errors import BenchError
from bench.records.files import appearing

PACKED = ("__torch__.torch.classes.rnn.", "__torch__.torch.classes.quantized.")
"""Kinds of the packed weights of torch's own 8-bit layers."""
PLAIN = (bool, int, float, str, bytes, type(None))


@dataclass
class State:
    """A model's state, as far as safetensors can hold it."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    """Contiguous, none in the memory of another."""
    same: dict[str, str] = field(default_factory=dict)
    """Names of tensors that are others under a second name (tied weights), and whose they are."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What can't be held, by name, and why."""
    weights_left_out: dict[str, str] = field(default_factory=dict)
    """Those of them that are tensors with numbers: without these the file is not the model."""


def state_of(model: nn.Module) -> State:
    """Take a model's state apart; packed and quantised tensors too.

    A quantised tensor ``w`` becomes its integers ``w``, ``w.scale`` and ``w.zero_point`` (of each
    channel of ``w.axis``, where there is one).
    """
    state, places = State(), dict[object, str]()
    memories = set[int]()
    for name, value in sorted(model.state_dict().items()):
        for part, found in _parts(name, value):
            if reason := _unheld(found):
                state.left_out[part] = f"{part} {reason}"
                if isinstance(found, Tensor) and not is_lazy(found):
                    state.weights_left_out[part] = state.left_out[part]
            elif isinstance(found, Tensor):
                place = _place(found)
                if place is not None and places.setdefault(place, part) != part:
                    state.same[part] = places[place]
                else:
                    state.tensors[part] = _own(found, memories)
    return state


def copied_state(model: nn.Module) -> dict[str, object]:
    """Return a copy of a model's state: extra states, which can be anything, are copied deeply."""
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in model.state_dict().items()
    }


def is_plain(value: object) -> bool:
    """Tell whether a value is made of tensors and Python's own plain values alone."""
    if isinstance(value, dict):
        return type(value) is dict and all(map(is_plain, (*value.keys(), *value.values())))
    if isinstance(value, list | tuple):
        return type(value) in (list, tuple) and all(map(is_plain, value))
    return isinstance(value, Tensor) or type(value) in PLAIN


def write(model: nn.Module, path: Path) -> tuple[str, ...]:
    """Write a model's state to `path` as safetensors, whole or not at all.

    Returns what of it can't be held in such a file, as plain statements.
    """
    state = state_of(model)
    with appearing(path) as temporary:
        _save(state, temporary)
    return tuple(state.left_out.values())


def check(model: nn.Module) -> None:
    """Raise `BenchError` where the file of a model that is to be trained would not be the model."""
    if lost := [*state_of(model).weights_left_out.values()]:
        raise BenchError(
            f"this model's weights can't be written: {'; '.join(lost)}; change that, or register "
            "what needs no keeping with persistent=False"
        )


def file_bytes(model: nn.Module, folder: Path) -> int | None:
    """Return how large the file of a model is; None where it would not hold the whole state."""
    path, state = folder / "model.safetensors", state_of(model)
    _save(state, path)
    size = path.stat().st_size
    path.unlink()
    return None if state.left_out else size


def _save(state: State, path: Path) -> None:
    from safetensors.torch import save_file

    save_file(state.tensors, str(path), metadata=state.same or None)


def _parts(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, tuple | list):
        for index, part in enumerate(value):
            yield from _parts(f"{name}.{index}", part)
    elif isinstance(value, Tensor) and value.is_quantized:
        yield from _quantised(name, value)
    elif isinstance(value, torch.ScriptObject) and str(value._type()).startswith(PACKED):
        yield from _packed(name, value)
    elif value is not None and not isinstance(value, torch.dtype):
        yield name, value


def _packed(name: str, value: Any) -> Iterator[tuple[str, object]]:
    """Take packed weights of an 8-bit layer apart; the name of their kind says nothing new."""
    waiting = [*value.__getstate__()[0]]
    for index, part in enumerate(waiting):
        if isinstance(part, list | tuple):
            waiting += part
        elif isinstance(part, int | float):
            yield f"{name}.{index}", torch.tensor(part)
        elif not isinstance(part, str):
            yield from _parts(f"{name}.{index}", part)


def _quantised(name: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield name, value.int_repr()
    if value.qscheme() in (torch.per_channel_affine, torch.per_channel_affine_float_qparams):
        yield f"{name}.scale", value.q_per_channel_scales()
        yield f"{name}.zero_point", value.q_per_channel_zero_points()
        yield f"{name}.axis", torch.tensor(value.q_per_channel_axis())
    else:
        yield f"{name}.scale", torch.tensor(value.q_scale())
        yield f"{name}.zero_point", torch.tensor(value.q_zero_point())


def _unheld(value: object) -> str | None:
    """Say why safetensors can't hold a value; None where it can."""
    if not isinstance(value, Tensor):
        return f"is a {type(value).__name__}, which is no tensor"
    if is_lazy(value):
        return "has no shape yet"
    if value.layout is not torch.strided:
        return f"is a {str(value.layout).removeprefix('torch.')} tensor, which is not dense"
    if value.is_nested or is_traceable_wrapper_subclass(value):
        return f"is a {type(value).__name__}, which is not one dense tensor"
    if value.device.type == "meta":
        return "is on the device meta and holds no numbers"
    if not _has_type(value.dtype):
        return f"is {str(value.dtype).removeprefix('torch.')}, which safetensors can't hold"
    return None


def _has_type(dtype: torch.dtype) -> bool:
    from safetensors.torch import save

    try:
        save({"none": torch.empty(0, dtype=dtype)})
    except (KeyError, RuntimeError, TypeError, ValueError):
        return False
    return True


def _place(value: Tensor) -> object:
    """Return what two names of one tensor have in common; None where it holds nothing."""
    if value.numel() == 0:
        return None
    return value.device, value.data_ptr(), value.dtype, value.shape, value.stride(), _turned(value)


def _turned(value: Tensor) -> tuple[bool, bool]:
    return value.is_conj(), value.is_neg()


def _own(value: Tensor, memories: set[int]) -> Tensor:
    """Return a tensor as it is read, in memory that no other of the file lies in."""
    plain = value.detach().resolve_conj().resolve_neg().contiguous()
    memory = plain.untyped_storage().data_ptr()
    if memory in memories:
        return plain.clone()
    if plain.numel():
        memories.add(memory)
    return plain
