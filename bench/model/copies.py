"""Copy a model: the one place that does, with a reason where it can't be done."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from bench.errors import NotApplicable

REFUSALS = (TypeError, AttributeError, RuntimeError, pickle.PickleError, copy.Error)
"""What copying raises for locks, handles and open files; anything else is a failure."""


def copied(model: nn.Module, instead: Mapping[int, Tensor] | None = None) -> nn.Module:
    """Return a deep copy, in which kept results of a forward pass are detached from their history.

    These (a loss that a layer keeps, a weight made of others) are no state of their own: the next
    forward pass makes them again. `instead` are tensors that take the place of others, by their id.
    Raises `NotApplicable` where something in it can't be copied.
    """
    memo = {**(instead or {})}
    for module in model.modules():
        for result in _results(vars(module), set()):
            memo[id(result)] = result.detach().clone()
    try:
        return copy.deepcopy(model, memo)
    except REFUSALS as error:
        said = str(error).strip().partition("\n")[0][:120]
        raise NotApplicable(
            f"the model can't be copied: {_culprit(model)}{type(error).__name__}: {said}"
        ) from error


def _results(value: object, seen: set[int]) -> Iterator[Tensor]:
    """Yield tensors with a history, in attributes and containers of them."""
    if isinstance(value, Tensor):
        if not value.is_leaf:
            yield value
    elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
        seen.add(id(value))
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _results(one, seen)


def _culprit(model: nn.Module) -> str:
    """Return the name of the attribute that can't be copied, with a space behind it."""
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute in ("_modules", "_parameters", "_buffers"):
                continue
            try:
                copy.deepcopy(value, {id(part): part for part in model.modules()})
            except REFUSALS:
                return f"its {name}.{attribute}: " if name else f"its {attribute}: "
    return ""


def weights_of(model: nn.Module) -> int:
    """Return how many numbers the parameters of a model hold."""
    return sum(p.numel() for p in model.parameters())
