"""Call a model with what `Job.sample` gives: arguments by position, by name, or both."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from bench.errors import NotApplicable
from bench.job import Inputs


def arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a sample's arguments by position and by name."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if len(inputs) == 2 and isinstance(inputs[0], tuple) and isinstance(inputs[1], dict):
        return inputs[0], inputs[1]
    return tuple(inputs), {}


def ask(model: Callable[..., Any], inputs: Inputs) -> Any:
    """Return what a model answers to a sample."""
    args, kwargs = arguments(inputs)
    return model(*args, **kwargs)


def by_position(model: nn.Module, inputs: Inputs) -> tuple[Any, ...]:
    """Return a sample's arguments in the order of the model's forward, for what only knows these.

    Raises `NotApplicable` where the forward takes some by their names alone.
    """
    args, kwargs = arguments(inputs)
    if not kwargs:
        return args
    bound = inspect.signature(model.forward).bind(*args, **kwargs)
    bound.apply_defaults()
    if bound.kwargs:
        raise NotApplicable(
            f"the model takes {', '.join(bound.kwargs)} by name alone, and a trace of it gives "
            "arguments by position"
        )
    return bound.args
