"""Find what objects keep that moves on as they are used: random generators, and counts.

A worker process has a copy of it, made anew each epoch from what nothing has moved on.
"""

from __future__ import annotations

import functools
import itertools
import pickle
import random
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

MOST, DEPTH = 10_000, 12
"""Objects that are looked at, and attributes that lead to one, at most."""
FIRST = 100
"""Entries of a list, or of another container, that are looked at."""
LISTED: tuple[Any, ...] = (list, tuple, set, frozenset, deque)
LEAVES = (str, bytes, bytearray, np.ndarray, torch.Tensor, type, ModuleType, type(None))
GLOBAL = (torch.default_generator, np.random.mtrand._rand, random._inst)
"""Generators that are none of an object's own, whatever leads to them."""


@dataclass
class Held:
    """The states of generators, and counts, by their place, and by the names that lead there.

    The place of what objects hold is "", and else the name of a class or a module beside them.
    """

    generators: dict[str, dict[str, object]] = field(default_factory=dict)
    counts: dict[str, dict[str, object]] = field(default_factory=dict)

    def drawn(self, later: Held, *, beside: bool = False) -> str | None:
        """Return the name of a generator that is another one later, or None.

        So is one that was not there before, at a place that was. Those `beside` objects may be
        drawn from by others, too: with it, only these are looked at.
        """
        for place, states in later.generators.items():
            known = self.generators.get(place)
            for name, state in states.items():
                if known is not None and known.get(name) != state and (place or not beside):
                    return f"{place}.{name}".lstrip(".")
        return None

    def counted(self, later: Held) -> list[str]:
        """Return the names of counts that are others later; what is new was none before."""
        return [
            f"{place}.{name}".lstrip(".")
            for place, counts in later.counts.items()
            for name, count in counts.items()
            if self.counts.get(place, {}).get(name, count) != count
        ]


def held(**objects: object) -> Held:
    """Return what objects hold: in their attributes, and beside their classes and functions."""
    found, seen = Held({"": {}}), dict[int, object]()  # with each, or its id may be another's later
    todo = deque((name, one, 0) for name, one in objects.items())
    while todo and len(seen) < MOST:
        name, one, depth = todo.popleft()
        if _kept(found, "", name, one) or issubclass(type(one), LEAVES) or id(one) in seen:
            continue
        seen[id(one)] = one
        if depth < DEPTH:
            todo.extend((f"{name}{way}", part, depth + 1) for way, part in _parts(one))
        for place, owner, around in _around(one):
            if id(owner) not in seen:
                seen[id(owner)] = owner
                found.generators.setdefault(place, {})
                for own, part in [*around.items()]:
                    _kept(found, place, own, part)
    return found


def attributes_of(one: object) -> dict[str, Any] | None:
    """Return an object's own attributes, by no code of its class's; None where it has none."""
    own = _attribute(one, "__dict__")
    return own if issubclass(type(own), dict) else None


def _attribute(one: object, name: str) -> Any:
    try:
        return object.__getattribute__(one, name)
    except Exception:  # noqa: BLE001 - a property of that name may raise anything: it leads nowhere
        return None


def _kept(found: Held, place: str, name: str, one: Any) -> bool:
    """Keep the state of a generator, or a count; tell whether it is one.

    What an object is, its type tells: asked itself, a proxy of what is gone would raise.
    """
    kind = type(one)
    if issubclass(kind, bool) or any(one is other for other in GLOBAL):
        return True
    if issubclass(kind, (int, float, np.number)):
        found.counts.setdefault(place, {})[name] = (one,)  # so that NaN is what it was
    elif issubclass(kind, itertools.count):
        found.counts.setdefault(place, {})[name] = repr(one)
    elif (state := _state(one)) is not None:
        found.generators.setdefault(place, {})[name] = state
    else:
        return False
    return True


def _state(one: Any) -> object:
    """Return the state of a random generator; None for what is none, or keeps none."""
    kind = type(one)
    if issubclass(kind, random.Random):
        return None if issubclass(kind, random.SystemRandom) else one.getstate()
    if issubclass(kind, np.random.Generator):
        one = one.bit_generator
    if issubclass(type(one), np.random.BitGenerator):
        return pickle.dumps(one.state)
    if issubclass(kind, np.random.RandomState):
        return pickle.dumps(one.get_state(legacy=False))
    return one.get_state().tolist() if issubclass(kind, torch.Generator) else None


def _parts(one: Any) -> Iterator[tuple[str, object]]:
    """Yield what an object consists of, and what leads there from it.

    Entries are named by their place: what names a key runs code of the key's class.
    """
    kind = type(one)
    if issubclass(kind, dict):
        values = [*itertools.islice(dict.values(one), FIRST)]
        yield from ((f"[{place}]", value) for place, value in enumerate(values))
    for listed in LISTED:
        if issubclass(kind, listed):
            values = [*itertools.islice(listed.__iter__(one), FIRST)]
            yield from ((f"[{place}]", value) for place, value in enumerate(values))
    if issubclass(kind, functools.partial):
        yield from ((f".{name}", _attribute(one, name)) for name in ("func", "args", "keywords"))
    if issubclass(kind, MethodType):
        yield from (("", one.__self__), ("", one.__func__))
    if issubclass(kind, FunctionType):
        cells = zip(one.__code__.co_freevars, one.__closure__ or (), strict=False)
        yield from ((f" ({name})", _content(cell)) for name, cell in cells)
    yield from ((f".{name}", value) for name, value in [*(attributes_of(one) or {}).items()])


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _around(one: Any) -> Iterator[tuple[str, object, Mapping[str, Any]]]:
    """Yield an object's classes, and the modules of their code: name, itself, what it holds.

    What `vars` gives of a class is made anew each time.
    """
    if issubclass(type(one), FunctionType):
        yield _module(one.__globals__)
        return
    for kind in type(one).__mro__:
        yield f"{kind.__module__}.{kind.__qualname__}", kind, vars(kind)
        module = sys.modules.get(kind.__module__)
        if issubclass(type(module), ModuleType) and kind.__module__ != "builtins":
            yield _module(vars(module))


def _module(names: dict[str, Any]) -> tuple[str, object, Mapping[str, Any]]:
    """Return what its functions know it by, whatever they say of themselves (``wraps``)."""
    return str(names.get("__name__")), names, names
