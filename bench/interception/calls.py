"""See which modules a program calls by itself, not as parts of others.

While it is being learnt which those are, the call of all modules is watched, and not watched within
such a call: parts cost nothing, and what compiles sees its modules as they are. Later the classes
that were found are watched alone.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any, Protocol

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
        self._plain: Call = nn.Module.__call__
        self._thread = get_ident()
        self._inside = False
        self._watched = set[type[nn.Module]]()
        self._every = self._watching(self._plain, learning=True)
        patches.replace(nn.Module, "__call__", self._every)
        self.learning = True

    def learn(self, yes: bool) -> None:
        """Watch all modules, or only those of the classes that were seen."""
        self.learning = yes
        self._set()

    def _set(self) -> None:
        wanted = self._every if self.learning and not self._inside else self._plain
        if nn.Module.__call__ is not wanted:
            nn.Module.__call__ = wanted  # type: ignore[method-assign]  # put back by the patches

    def _watching(self, plain: Call, learning: bool = False) -> Call:
        def __call__(module: nn.Module, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
            if torch.compiler.is_compiling() or self._inside or get_ident() != self._thread:
                return plain(module, *args, **kwargs)
            if learning:
                if next(module.parameters(), None) is None:
                    return plain(module, *args, **kwargs)
                self._watch(type(module))
            self._inside = True
            if self.learning:
                self._set()
            try:
                return self._around(module, plain.__get__(module), args, kwargs)
            finally:
                self._inside = False
                if self.learning:
                    self._set()

        return __call__

    def _watch(self, kind: type[nn.Module]) -> None:
        if kind not in self._watched and kind is not nn.Module:
            self._watched.add(kind)
            self._patches.replace(kind, "__call__", self._watching(kind.__call__))
