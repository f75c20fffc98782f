"""Capture and restore the hidden state of a job's parts.

Parts are functions, methods and objects; what they remember lies in attributes, closures and random
generators. All of that is found by walking from the job. What has changed since the training began
is what has to be kept; where something changed that can't be, the training can't be resumed, and
that is said. A class names in ``not_remembered`` what it makes again by itself.

An example: ``stop=patience.look`` of a class with an attribute ``bad = 0`` that counts epochs. The
walk goes from ``job.stop`` (a method) to the object that it is bound to and finds the slot
``stop.self.bad``. After two bad epochs it reads 2 where 0 was, so {"stop.self.bad": 2} is written;
in a fresh process the same walk finds the same slot, and 2 is put there.
"""

from __future__ import annotations

import functools
import types
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.errors import BenchError
from bench.job import Job
from bench.model.carried import CannotRemember
from bench.model.surgery import FOLLOWING
from bench.model.weights_file import copied_state, is_plain
from bench.random_state import GENERATORS, generator_state, set_generator_state
from bench.trial.optimizer_state import put_back
from bench.turns import parts_of

PLAIN = (bool, int, float, str, bytes, types.NoneType)
NOT_WALKED = (*PLAIN, type, types.ModuleType, BaseModel, Optimizer, Tensor, np.ndarray, nn.Module)
FOREIGN = frozenset(
    {"builtins", "torch", "numpy", "functools", "pathlib", "collections", "pandas", "h5py", "scipy"}
)
"""Packages whose objects are not looked into."""
ELSEWHERE = ("model", "device", "data", "taken", "relies_on")
"""Parts of a job that are kept otherwise, or never change."""


@dataclass(frozen=True)
class Slot:
    """A place that holds a value: an attribute or a closure's variable."""

    read: Callable[[], object]
    write: Callable[[Any], object]


def kept_state(model: nn.Module) -> dict[str, object]:
    """Return a copy of a model's state; raise `CannotRemember` for what a file can't hold."""
    state = copied_state(model)
    if odd := [name for name, value in state.items() if not is_plain(value)]:
        raise CannotRemember(f"{odd[0]} holds more than plain values, which can't be kept")
    return state


class PartsState:
    """Everything that the parts of one job remember, by where it lies."""

    def __init__(self, job: Job, optimizer: Optimizer) -> None:
        self._named = {id(p): name for name, p in job.model.state_dict(keep_vars=True).items()}
        self._model, self._optimizer = job.model, optimizer
        self._slots: dict[str, Slot] = {}
        self._states: dict[str, Slot] = {}
        stepping = parts_of(optimizer)
        self._seen: set[int] = {id(one) for one in (job, optimizer, *stepping)}
        self._alive: list[object] = []  # an id is not given away again while its owner lives
        for field in fields(job):
            if field.name not in ELSEWHERE:
                self._walk(field.name, getattr(job, field.name))
        for number, one in enumerate(stepping):
            self._walk_optimizer(f"optimizer.{number}", one)
        self._first = {path: self._print(slot.read()) for path, slot in self._slots.items()}
        self._objects = {path: slot.read() for path, slot in self._slots.items()}

    def taken(self) -> dict[str, dict[str, object]]:
        """Return what has changed, and the state of every generator, as plain values and tensors.

        Raises `CannotRemember` where something changed that isn't made of these.
        """
        changed = {
            path: self._packed(path, slot.read())
            for path, slot in self._slots.items()
            if self._print(slot.read()) != self._first[path]
        }
        return {"slots": changed, "states": {p: slot.read() for p, slot in self._states.items()}}

    def put_back(self, kept: Mapping[str, Mapping[str, object]]) -> None:
        """Restore in this job what another process captured; raise `BenchError` if it's another."""
        unknown = [p for p in kept["slots"] if p not in self._slots]
        unknown += [p for p in kept["states"] if p not in self._states]
        if unknown:
            raise BenchError(f"the training can't go on: it has no {unknown[0]} any more; was it"
                             " begun with another version?")  # fmt: skip
        for path, state in kept["states"].items():
            self._states[path].write(state)
        for path, packed in kept["slots"].items():
            self._restore(self._slots[path], self._unpacked(packed))

    @staticmethod
    def _restore(slot: Slot, value: object) -> None:
        """Fill a list or dict where it is: others may hold it too; replace anything else."""
        old = slot.read()
        if isinstance(old, list) and isinstance(value, list):
            old[:] = value
        elif isinstance(old, dict) and isinstance(value, dict):
            old.clear()
            old.update(value)
        elif isinstance(old, Tensor) and isinstance(value, Tensor) and old.shape == value.shape:
            with torch.no_grad():
                old.copy_(value)
        else:
            slot.write(value)

    def _walk(self, path: str, value: object) -> None:
        if isinstance(value, nn.Module):
            self._walk_module(path, value)
        if isinstance(value, Optimizer) and id(value) not in self._seen:
            self._seen.add(id(value))
            self._states[path] = Slot(value.state_dict, functools.partial(put_back, value))
            self._walk_optimizer(path, value)
        if isinstance(value, NOT_WALKED) or id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._alive.append(value)
        if state := _state_of(value):
            self._states[path] = state
        elif isinstance(value, types.FunctionType):
            self._walk_function(path, value)
        elif isinstance(value, types.MethodType):
            self._walk(f"{path}.self", value.__self__)
            self._walk(path, value.__func__)
        else:
            for name, inner in _parts(path, value):
                self._walk(f"{path}.{name}", inner)
            self._walk_attributes(path, value)

    def _walk_optimizer(self, path: str, optimizer: Optimizer) -> None:
        """Keep what one of one's own holds besides its state: a counter, another that it steps."""
        for name, inner in _attributes(optimizer):
            if name not in FOLLOWING and not name.startswith("_") and name != "step":
                self._slots[f"{path}.{name}"] = _attribute(optimizer, name)
                self._walk(f"{path}.{name}", inner)

    def _walk_module(self, path: str, module: nn.Module) -> None:
        """Keep another network than the one in training: a teacher, say."""
        tensors = module.state_dict(keep_vars=True).values()
        own = any(id(tensor) in self._named for tensor in tensors)
        if not own and id(module) not in self._seen and module is not self._model:
            self._seen.add(id(module))
            self._states[path] = Slot(lambda: kept_state(module), module.load_state_dict)

    def _walk_function(self, path: str, function: types.FunctionType) -> None:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for name, cell in cells:
            if id(cell) in self._seen:
                continue
            self._seen.add(id(cell))
            inside = f"{path}[{name}]"
            try:
                self._walk(inside, cell.cell_contents)
            except ValueError:  # not given a value yet
                continue
            self._slots[inside] = _cell(cell)
        for number, default in enumerate(function.__defaults__ or ()):
            self._walk(f"{path}({number})", default)

    def _walk_attributes(self, path: str, value: object) -> None:
        frozen = is_dataclass(value) and bool(getattr(value, "__dataclass_params__").frozen)  # noqa: B009 - a private name
        left_out = getattr(type(value), "not_remembered", ())
        for name, inner in _attributes(value):
            if name in left_out:
                continue
            if not frozen:
                self._slots[f"{path}.{name}"] = _attribute(value, name)
            self._walk(f"{path}.{name}", inner)

    def _print(self, value: object) -> object:
        """Return what differs when a value does; of a large array that it is another one."""
        if isinstance(value, PLAIN):
            return repr(value)
        if isinstance(value, Tensor):
            return id(value), value._version
        if isinstance(value, np.ndarray):
            return id(value), zlib.crc32(np.ascontiguousarray(value).view(np.uint8).data)
        if isinstance(value, list | tuple | deque):
            return [self._print(one) for one in value]
        if isinstance(value, set | frozenset | bytearray):
            return repr(sorted(map(repr, value)))
        if isinstance(value, dict):
            return [(self._print(key), self._print(one)) for key, one in value.items()]
        return id(value)

    def _packed(self, path: str, value: object) -> object:
        """Return a value as plain ones and tensors; weights of the model by their names."""
        if value is self._optimizer:
            return {"is": "optimizer"}
        if isinstance(value, PLAIN) and not isinstance(value, np.generic):
            return value
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            return {"is": "array", "of": torch.from_numpy(np.array(value))}
        if isinstance(value, Tensor):
            name = self._named.get(id(value))
            return {"is": "weight", "name": name} if name else value.detach().clone()
        if isinstance(value, list | tuple):
            inner = [self._packed(path, one) for one in value]
            return {"is": type(value).__name__, "of": inner} if type(value) in (list, tuple) else (
                _refused(path, value)
            )  # fmt: skip
        if isinstance(value, dict) and all(isinstance(key, PLAIN) for key in value):
            pairs = [[key, self._packed(path, one)] for key, one in value.items()]
            return {"is": "dict", "of": pairs}
        return _refused(path, value)

    def _unpacked(self, packed: object) -> object:
        if not isinstance(packed, dict):
            return packed
        kind, inner = packed["is"], packed.get("of", ())
        if kind == "optimizer":
            return self._optimizer
        if kind == "array":
            return inner.cpu().numpy()[()]  # of no dimension: a number
        if kind == "weight":
            return self._model.state_dict(keep_vars=True)[packed["name"]]
        if kind == "dict":
            return {key: self._unpacked(one) for key, one in inner}
        made = [self._unpacked(one) for one in inner]
        return tuple(made) if kind == "tuple" else made


def _refused(path: str, value: object) -> NoReturn:
    raise CannotRemember(f"{path} changes while it trains, and a {type(value).__name__} can't be"
                         " kept")  # fmt: skip


def _cell(cell: types.CellType) -> Slot:
    return Slot(lambda: cell.cell_contents, lambda v: setattr(cell, "cell_contents", v))


def _attribute(value: object, name: str) -> Slot:
    return Slot(lambda: getattr(value, name), lambda v: setattr(value, name, v))


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    """Yield the attributes of an object of Python code that is not torch's or numpy's own."""
    room = type(value).__module__.partition(".")[0]
    if room in FOREIGN:
        return
    yield from list(getattr(value, "__dict__", {}).items())
    for kind in type(value).__mro__:
        for name in getattr(kind, "__slots__", ()):
            if hasattr(value, name):
                yield name, getattr(value, name)


def _parts(path: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield what containers and partial functions hold."""
    if isinstance(value, functools.partial):
        yield from (("func", value.func), ("args", value.args), ("keywords", value.keywords))
    elif isinstance(value, Mapping):
        yield from ((repr(key), one) for key, one in list(value.items()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((str(number), one) for number, one in enumerate(value))
    elif isinstance(value, Iterator):
        raise CannotRemember(f"{path} is a {type(value).__name__}, whose place can't be kept")


def _state_of(value: object) -> Slot | None:
    """Return the state of a random generator, or of an object that tells its state itself."""
    if isinstance(value, GENERATORS):
        return Slot(lambda: generator_state(value), functools.partial(set_generator_state, value))
    take, put = (getattr(value, name, None) for name in ("state_dict", "load_state_dict"))
    if callable(take) and callable(put) and not isinstance(value, type):
        return Slot(take, put)
    return None
