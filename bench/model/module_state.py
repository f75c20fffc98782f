"""What modules keep besides their weights: taken down before a pass, put back to make it again.

That is buffers, other tensors, random generators, counters, lists and dicts, in the attributes of
every module inside; and the generators of Python and numpy. Torch's own are its checkpoint's.
"""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OWN = frozenset(vars(nn.Module()))
"""Attributes that every module has: weights and hooks, and buffers, which are looked at apart."""
SMALL = 2**20
"""Bytes of a tensor whose copy is kept although it seems unchanged: changes through ``data``
can't be seen."""
Place = dict[str, Any]
"""The attributes of a module, or its buffers."""


class ModuleState:
    """What a module kept at some moment."""

    def __init__(self, module: nn.Module) -> None:
        self._places = [place for part in module.modules() for place in _places(part)]
        self._values = [_own(place) for place in self._places]
        self._copies: dict[int, tuple[Any, Any, int]] = {
            id(value): (value, copied, value._version if isinstance(value, Tensor) else 0)
            for values in self._values
            for value in values.values()
            if (copied := _copied(value)) is not None
        }
        self._generators = [
            (value, value.get_state())
            for values in self._values
            for value in values.values()
            if isinstance(value, torch.Generator)
        ]
        self._global = random.getstate(), np.random.get_state()

    def settle(self) -> None:
        """Let go of copies of large tensors that were not changed since."""
        for key, (value, _, version) in list(self._copies.items()):
            if isinstance(value, Tensor) and value._version == version and value.nbytes > SMALL:
                del self._copies[key]

    def put_back(self) -> None:
        """Let everything be what it was at that moment, the same objects."""
        for place, values in zip(self._places, self._values, strict=True):
            _fill(place, values)
        for value, kept, version in self._copies.values():
            if isinstance(value, Tensor) and value._version != version:
                with torch.no_grad():
                    value.copy_(kept)
            elif isinstance(value, list | deque):
                value.clear()
                value.extend(kept)
            elif isinstance(value, dict | set):
                value.clear()
                value.update(kept)
        _set_generators(self._generators, self._global)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Put everything as it was at that moment; at the end as it was before this."""
        now = [_own(place) for place in self._places]
        generators = [(one, one.get_state()) for one, _ in self._generators]
        others = random.getstate(), np.random.get_state()
        fresh = {key: _copied(kept) for key, (_, kept, _) in self._copies.items()}
        for place, values in zip(self._places, self._values, strict=True):
            _fill(place, {name: fresh.get(id(v), v) for name, v in values.items()})
        _set_generators(self._generators, self._global)
        try:
            yield
        finally:
            for place, values in zip(self._places, now, strict=True):
                _fill(place, values)
            _set_generators(generators, others)


def _places(module: nn.Module) -> Iterator[Place]:
    yield vars(module)
    if module._buffers:
        yield module._buffers


def _own(place: Place) -> Place:
    return {name: value for name, value in place.items() if name not in OWN}


def _copied(value: object) -> object:
    """Return a copy of what may be changed in place, None for anything else.

    Tensors with a history are results of a pass, which it makes again.
    """
    if isinstance(value, Tensor):
        return value.detach().clone() if value.is_leaf and not value.requires_grad else None
    if type(value) in (list, dict, set, deque):
        return copy.copy(value)
    if isinstance(value, np.random.Generator | random.Random):
        return copy.deepcopy(value)
    return None


def _fill(place: Place, values: Place) -> None:
    for name in [name for name in place if name not in OWN and name not in values]:
        del place[name]
    place.update(values)


def _set_generators(states: list[tuple[torch.Generator, Tensor]], others: tuple[Any, Any]) -> None:
    for generator, state in states:
        generator.set_state(state)
    random.setstate(others[0])
    np.random.set_state(others[1])
