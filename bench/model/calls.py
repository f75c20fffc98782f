"""Call a model with what `Job.sample` gives: arguments by position, by name, or both."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from bench.batches import Inputs, Outputs
from bench.errors import NotApplicable

Call = tuple[tuple[object, ...], dict[str, object]]
"""Arguments by position, and by name."""


def arguments(inputs: Inputs) -> Call:
    """Return a sample's arguments by position and by name; a tensor is the only one."""
    if isinstance(inputs, Tensor):
        return (inputs,), {}
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if len(inputs) == 2 and isinstance(inputs[0], tuple) and isinstance(inputs[1], dict):
        return inputs[0], inputs[1]
    return tuple(inputs), {}


def ask(model: Callable[..., Outputs], inputs: Inputs) -> Outputs:
    """Return what a model answers to a sample."""
    args, kwargs = arguments(inputs)
    return model(*args, **kwargs)


def by_position(model: nn.Module, inputs: Inputs) -> tuple[object, ...]:
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
