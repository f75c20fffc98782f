"""See which modules a program calls by itself, not as parts of others.

While it is being learnt which those are, the call of all modules is watched, and not watched within
such a call: parts cost nothing, and what compiles sees its modules as they are. Later the classes
that were found are watched alone. Those with a call of their own are watched from the time that an
optimizer is made: from within such a call, which calls that of all modules, it is too late. When a
module is first put in evaluation mode later, it is learnt again: what is called then by itself may
have been a part of another before.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from types import FunctionType
from typing import Any, Protocol
from weakref import WeakSet

import torch
from torch import nn

from bench.interception.patches import Patches

Call = Callable[..., Any]
"""The call of a module, with whatever a user's module takes and answers."""


class Around(Protocol):
    """What is to happen around the call of a module that has weights."""

    def __call__(self, module: nn.Module, call: Call, args: Any, kwargs: Any) -> Any:
        """Call the module, ``call(*args, **kwargs)``."""
        ...


class Calls:
    """Watches the outermost calls of modules with weights, in the thread that it was made in."""

    def __init__(self, patches: Patches, around: Around) -> None:
        self._patches, self._around = patches, around
        self._thread = get_ident()
        self._inside = False
        self._switching = False
        self._evaluated = WeakSet[nn.Module]()
        """Modules for which it was learnt again, or would have been."""
        self._settled = False
        self._watched = {nn.Module}
        self._defining: dict[Any, tuple[Call, Call]] = {}
        """Classes that define a call: that, and what stands in its place while it is learnt."""
        self._define(nn.Module, nn.Module.__call__)
        patches.replace(nn.Module, "train", self._switched(nn.Module.train))
        self.learn(True)

    def learn(self, yes: bool) -> None:
        """Watch all modules, or only those of the classes that were seen."""
        self.learning, self._settled = yes, self._settled or not yes
        todo = nn.Module.__subclasses__() if yes else []
        while todo:
            todo += (kind := todo.pop()).__subclasses__()
            call: Any = vars(kind).get("__call__")
            if kind not in self._defining and _is_own(call):
                self._define(kind, call)
        self._set()

    def _define(self, kind: type[nn.Module], call: Call) -> None:
        self._patches.replace(kind, "__call__", call)  # so that they put it back
        self._defining[kind] = call, self._watching(call, learning=True)

    def _set(self) -> None:
        watch = self.learning and not self._inside
        for kind, (plain, watching) in self._defining.items():
            wanted = watching if watch else plain
            if kind.__call__ is not wanted:
                kind.__call__ = wanted

    def _watching(self, plain: Call, learning: bool = False) -> Call:
        def __call__(module: nn.Module, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
            if torch.compiler.is_compiling() or self._inside or get_ident() != self._thread:
                return plain(module, *args, **kwargs)
            seen = True
            if learning:
                if next(module.parameters(), None) is None:
                    return plain(module, *args, **kwargs)
                seen = self._learn(type(module), __call__, plain)
            self._inside = True
            if self.learning:
                self._set()
            try:
                if not seen:
                    return plain(module, *args, **kwargs)
                return self._around(module, plain.__get__(module), args, kwargs)
            finally:
                self._inside = False
                if self.learning:
                    self._set()

        return __call__

    def _switched(self, plain: Call) -> Call:
        """Return what stands in the place of `nn.Module.train`, which sets either mode."""

        def train(module: nn.Module, mode: bool = True) -> Any:
            if mode or torch.compiler.is_compiling() or self._switching:  # or within another one
                return plain(module, mode)
            anew = self._settled and module not in self._evaluated
            if anew and get_ident() == self._thread:
                self._evaluated.add(module)
                if not self.learning:
                    self.learn(True)
            self._switching = True
            try:
                return plain(module, mode)
            finally:
                self._switching = False

        return train

    def _learn(self, kind: type[nn.Module], watching: Call, plain: Call) -> bool:
        """Watch a class from now on; tell whether this call is not within one of its own."""
        if kind in self._watched:
            return True
        self._watched.add(kind)
        self._defining.pop(kind, None)
        call: Call = kind.__call__
        mended = plain if call is watching else call
        self._patches.replace(kind, "__call__", self._watching(mended))
        return call is watching or not _is_own(call)


def _is_own(call: Any) -> bool:
    """Tell whether a class's call was written by somebody else than torch, or is watched."""
    made_in = str(getattr(call, "__module__", None)).partition(".")[0]
    return isinstance(call, FunctionType) and made_in not in ("torch", "bench")
