"""Record a module's calls and outputs with forward hooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass
class Calls:
    """The calls of a model's forward, in order."""

    calls: list[tuple[Any, Any]] = field(default_factory=list)
    """Arguments by position, and by name."""
    answers: list[Any] = field(default_factory=list)
    inside: list[Any] = field(default_factory=list)
    """The first argument of a part's forward."""


@contextmanager
def listening(model: nn.Module, part: nn.Module | None = None) -> Iterator[Calls]:
    """Collect the calls of a model, and of a `part` of it, until the end of the context."""
    heard = Calls()

    def ask(_: nn.Module, args: Any, kwargs: Any) -> None:
        heard.calls.append((args, kwargs))

    def answer(_: nn.Module, args: Any, output: Any) -> None:
        heard.answers.append(output)

    def look(_: nn.Module, args: Any) -> None:
        heard.inside.append(args[0])

    hooks = [
        model.register_forward_pre_hook(ask, with_kwargs=True),
        model.register_forward_hook(answer),
    ]
    if part is not None:
        hooks.append(part.register_forward_pre_hook(look))
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()
