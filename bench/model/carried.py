"""What modules carry from batch to batch in tuples, lists, dicts and random generators.

A state of a recurrent net ``(h, c)``, a queue of keys, a generator that dropout draws from: no
state dict holds them, and they are more than the numbers and tensors of `bench.model.unsaved`.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.model.module_state import OWN
from bench.model.unsaved import NUMBERS
from bench.random_state import GENERATORS, generator_state, set_generator_state

PLAIN = (*NUMBERS, str, bytes, type(None))
SEQUENCES = (list, tuple, deque, set)
MISSING = object()


class CannotRemember(BenchError):  # noqa: N818 - a statement about a training
    """Something that changed while training can't be kept."""


class Carried:
    """What a model carried at some moment, to tell what changed since."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._alive: list[object] = []  # an id is not given away again while its owner lives
        self._first = {where: _mark(value, self._alive) for where, value in self._attributes()}

    def taken(self) -> dict[str, object]:
        """Return what changed, as plain values and tensors.

        Raises `CannotRemember` where it isn't made of these.
        """
        weights = {id(one) for one in (*self._model.parameters(), *self._model.buffers())}
        return {
            where: _packed(where, value, weights)
            for where, value in self._attributes()
            if _mark(value, []) != self._first.get(where, MISSING)
        }

    def put_back(self, kept: Mapping[str, object]) -> None:
        """Let the model carry again what another process took from it."""
        modules = dict(self._model.named_modules())
        for where, packed in kept.items():
            owner, _, name = where.rpartition(".")
            old = vars(modules[owner]).get(name)
            setattr(modules[owner], name, _restored(where, old, packed))

    def _attributes(self) -> Iterator[tuple[str, object]]:
        for name, module in self._model.named_modules():
            for attribute, value in vars(module).items():
                elsewhere = type(value) in NUMBERS or (
                    isinstance(value, Tensor) and value.grad_fn is None
                )
                if attribute not in OWN and not elsewhere:
                    yield (f"{name}.{attribute}" if name else attribute), value


def _mark(value: Any, alive: list[object]) -> object:
    """Return what differs when a value does; of an object that it is another one."""
    if type(value) in PLAIN:
        return repr(value)
    if isinstance(value, GENERATORS):
        state = generator_state(value)
        return state if isinstance(state, str) else state.cpu().numpy().tobytes()
    if type(value) in (list, tuple, deque):
        return [_mark(one, alive) for one in value]
    if type(value) is dict:
        return [(_mark(key, alive), _mark(one, alive)) for key, one in value.items()]
    if type(value) is set:
        return sorted(map(repr, value))
    alive.append(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return id(value), zlib.crc32(np.ascontiguousarray(value).view(np.uint8).data)
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        return id(value), value._version
    return id(value)


def _packed(where: str, value: Any, weights: set[int]) -> object:
    if type(value) in PLAIN:
        return value
    if type(value) is Tensor and id(value) not in weights:
        return value.detach().clone()
    if isinstance(value, GENERATORS):
        return {"is": "generator", "of": generator_state(value)}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        return {"is": "array", "of": torch.from_numpy(np.array(value))}
    if type(value) in SEQUENCES:
        inner = [_packed(where, one, weights) for one in value]
        most = value.maxlen if isinstance(value, deque) else None
        return {"is": type(value).__name__, "of": inner, "most": most}
    if type(value) is dict and all(type(key) in PLAIN for key in value):
        return {"is": "dict", "of": [[k, _packed(where, v, weights)] for k, v in value.items()]}
    kind = type(value).__name__
    raise CannotRemember(
        f"the model's {where} changes while it trains, and a {kind} in it can't be kept"
    )


def _restored(where: str, old: Any, packed: Any) -> object:
    """Return what takes the place of `old`: the same list, dict or generator, filled, if it can."""
    if not isinstance(packed, dict):
        return packed.clone() if isinstance(packed, Tensor) else packed
    kind, inner = packed["is"], packed["of"]
    if kind == "generator":
        if not isinstance(old, GENERATORS):
            raise BenchError(f"the training can't go on: its model has no generator in {where} yet")
        set_generator_state(old, inner)
        return old
    if kind == "array":
        return inner.cpu().numpy()[()]  # of no dimension: a number
    if kind == "dict":
        before = old if type(old) is dict else {}
        made = {key: _restored(where, before.get(key), one) for key, one in inner}
        return _filled(old, made) if type(old) is dict else made
    olds = [*old] if type(old) in (list, tuple, deque) else []
    olds += [None] * (len(inner) - len(olds))
    items = [_restored(where, a, one) for a, one in zip(olds, inner, strict=False)]
    if kind == "deque":
        return _filled(old, deque(items, packed["most"]))
    if kind == "tuple":
        return tuple(items)
    return _filled(old, set(items) if kind == "set" else items)


def _filled(old: Any, made: Any) -> object:
    """Return the old container with what the new one holds: others may hold it too."""
    if type(old) is not type(made):
        return made
    if isinstance(made, deque) and old.maxlen != made.maxlen:
        return made
    old.clear()
    old.extend(made) if isinstance(made, list | deque) else old.update(made)
    return old
