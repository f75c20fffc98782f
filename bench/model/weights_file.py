"""A model's state as a file of plain tensors: what `bench train` writes, and how large it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def write(model: nn.Module, path: Path) -> None:
    """Write a model's state to `path` as safetensors, under a temporary name first.

    Raises TypeError where the state holds something else than tensors.
    """
    from safetensors.torch import save_file, save_model

    temporary = path.with_name(f".{path.name}")
    if all(isinstance(v, Tensor) and not v.is_quantized for v in model.state_dict().values()):
        save_model(model, str(temporary))
    else:
        save_file(tensors_of(model), str(temporary))
    temporary.replace(path)


def file_bytes(model: nn.Module, folder: Path) -> int | None:
    """Return how large the file of a model is; None where its state is not of tensors alone."""
    path = folder / "model.safetensors"
    try:
        write(model, path)
    except TypeError:
        return None
    size = path.stat().st_size
    path.unlink()
    return size


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's state as plain tensors by name, packed and quantised ones taken apart.

    A quantised tensor ``w`` becomes its integers ``w``, ``w.scale`` and ``w.zero_point`` (of each
    channel of ``w.axis``, where there is one). Raises TypeError for what holds no tensors.
    """
    found = {}
    for name, value in model.state_dict().items():
        for part, tensor in _plain(name, value):
            found[part] = tensor.detach().clone().contiguous()  # none shares memory with another
    return found


def _plain(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, tuple | list):
        for index, part in enumerate(value):
            yield from _plain(f"{name}.{index}", part)
    elif isinstance(value, Tensor):
        yield from _quantised(name, value) if value.is_quantized else [(name, value)]
    elif value is not None and not isinstance(value, torch.dtype):
        raise TypeError(f"{name} is a {type(value).__name__}, which is no tensor")


def _quantised(name: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield name, value.int_repr()
    if value.qscheme() in (torch.per_channel_affine, torch.per_channel_affine_float_qparams):
        yield f"{name}.scale", value.q_per_channel_scales()
        yield f"{name}.zero_point", value.q_per_channel_zero_points()
        yield f"{name}.axis", torch.tensor(value.q_per_channel_axis())
    else:
        yield f"{name}.scale", torch.tensor(value.q_scale())
        yield f"{name}.zero_point", torch.tensor(value.q_zero_point())
