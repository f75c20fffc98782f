"""Load published weights from a file under a network's own parameter names."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.errors import BenchError

Table = Mapping[str, str]
"""Our names of modules by those in a file."""
COUNTER = "num_batches_tracked"
"""Of batch norm: files made before 2018 lack it, and nothing here reads it."""
SHOWN = 2
"""Names that an error lists."""
UNREADABLE = (
    OSError, SafetensorError, pickle.UnpicklingError, AttributeError, RuntimeError, EOFError,
)  # fmt: skip


def read(path: Path) -> dict[str, Tensor]:
    """Read tensors by name, of a .safetensors file or one of `torch.save`; nothing is executed.

    Raises `BenchError` for a file of anything else.
    """
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
        if not all(isinstance(value, Tensor) for value in found.values()):
            raise AttributeError("it holds more than tensors by name")
    except FileNotFoundError:
        raise BenchError(f"no weights {path}; `bench train RECIPE` writes such a file") from None
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:120]
        raise BenchError(f"{path} is no file of weights alone ({reason})") from error
    return dict(found)


def renamed(
    found: Mapping[str, Tensor], tables: Sequence[Table], without: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """Return tensors under our names, by the table that knows most; unknown names stay.

    Those whose name begins as one of `without` are left out: a classifier that is not ours.
    """
    known = max(tables, key=lambda table: sum(_module(name) in table for name in found))
    made = {}
    for name, value in found.items():
        module, leaf = _module(name), name.rpartition(".")[2]
        if not name.startswith(without):
            made[f"{known[module]}.{leaf}" if module in known else name] = value
    return made


def fill(network: nn.Module, found: Mapping[str, Tensor], path: Path) -> str:
    """Load all of a network's tensors; return what they are: the file and the start of its SHA-256.

    Raises `BenchError` for tensors that are missing, not of this network, or of another shape.
    """
    wanted = network.state_dict()
    if problem := _problem(found, wanted):
        raise BenchError(f"{path} doesn't fit the network: {problem}; give the file of this"
                         " architecture and width")  # fmt: skip
    network.load_state_dict({**wanted, **found})
    return f"{path.name} (sha256 {digest(path)[:12]})"


def digest(path: Path) -> str:
    """Return the SHA-256 of a file of weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(path: Path | None) -> tuple[str, ...]:
    """Return what a job's card says of its weights' file, if it has one; see `DataCard.beside`."""
    return () if path is None else (digest(path),)


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _problem(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    missing = [n for n in wanted if n not in found and not n.endswith(COUNTER)]
    extra = [n for n in found if n not in wanted]
    shapes = [f"{n} {_shape(found[n])} for {_shape(wanted[n])}"
              for n in wanted if n in found and found[n].shape != wanted[n].shape]  # fmt: skip
    kinds = (("it lacks", missing), ("it has", extra), ("it has of other shapes", shapes))
    return ", and ".join(
        f"{what} {len(names)} {'tensor' if len(names) == 1 else 'tensors'}"
        f" ({', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''})"
        for what, names in kinds
        if names
    )


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "scalar"
