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
from collections.abc import Iterator
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


@dataclass
class Held:
    """The states of generators, and counts, by the names that lead there."""

    generators: dict[str, object] = field(default_factory=dict)
    counts: dict[str, object] = field(default_factory=dict)

    def moved(self, later: Held) -> str | None:
        """Return the name of a generator, or a count, that is another one later, or None.

        So is a generator that was not there before; what was then counted first is no count.
        """
        for name, state in later.generators.items():
            if self.generators.get(name) != state:
                return name
        for name, count in later.counts.items():
            if name in self.counts and self.counts[name] != count:
                return name
        return None


def held(**objects: object) -> Held:
    """Return what objects hold: in their attributes, and beside their classes and functions."""
    found, seen = Held(), set[int]()
    todo = deque((name, one, 0) for name, one in objects.items())
    while todo and len(seen) < MOST:
        name, one, depth = todo.popleft()
        if _kept(found, name, one) or isinstance(one, LEAVES) or id(one) in seen:
            continue
        seen.add(id(one))
        if depth < DEPTH:
            todo.extend((f"{name}{way}", part, depth + 1) for way, part in _parts(one))
        for place, around in _around(one):
            if id(around) not in seen:
                seen.add(id(around))
                for own, part in [*around.items()]:
                    _kept(found, f"{place}.{own}", part)
    return found


def _kept(found: Held, name: str, one: object) -> bool:
    """Keep the state of a generator, or a count; tell whether it is one."""
    if isinstance(one, bool):
        return True
    if isinstance(one, (int, float, np.number)):
        found.counts[name] = (one,)  # so that NaN is what it was
    elif isinstance(one, itertools.count):
        found.counts[name] = repr(one)
    elif (state := _state(one)) is not None:
        found.generators[name] = state
    else:
        return False
    return True


def _state(one: object) -> object:
    """Return the state of a random generator; None for what is none, or keeps none."""
    if isinstance(one, random.Random):
        return None if isinstance(one, random.SystemRandom) else one.getstate()
    if isinstance(one, np.random.Generator):
        one = one.bit_generator
    if isinstance(one, np.random.BitGenerator):
        return pickle.dumps(one.state)
    if isinstance(one, np.random.RandomState):
        return pickle.dumps(one.get_state(legacy=False))
    return one.get_state().tolist() if isinstance(one, torch.Generator) else None


def _parts(one: Any) -> Iterator[tuple[str, object]]:
    """Yield what an object consists of, and what leads there from it."""
    if isinstance(one, dict):
        for key, value in itertools.islice(dict.items(one), FIRST):
            yield f"[{key!r:.40}]", value
    for kind in LISTED:
        if isinstance(one, kind):
            for place, value in enumerate(itertools.islice(kind.__iter__(one), FIRST)):
                yield f"[{place}]", value
    if isinstance(one, functools.partial):
        yield from ((f".{name}", getattr(one, name)) for name in ("func", "args", "keywords"))
    if isinstance(one, MethodType):
        yield from (("", one.__self__), ("", one.__func__))
    if isinstance(one, FunctionType):
        cells = zip(one.__code__.co_freevars, one.__closure__ or (), strict=False)
        yield from ((f" ({name})", _content(cell)) for name, cell in cells)
    own = getattr(one, "__dict__", None)
    if isinstance(own, dict):
        yield from ((f".{name}", value) for name, value in [*own.items()])


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _around(one: object) -> Iterator[tuple[str, Any]]:
    """Yield the names and contents of an object's classes, and of the modules of their code."""
    if isinstance(one, FunctionType):
        yield str(one.__module__), one.__globals__
        return
    for kind in type(one).__mro__:
        yield kind.__name__, vars(kind)
        module = sys.modules.get(kind.__module__)
        if module is not None and kind.__module__ != "builtins":
            yield str(kind.__module__), vars(module)
