"""Outputs of tuples, dicts, dataclasses and objects: their tensors, and the scores among them."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from bench.batches import Outputs
from bench.errors import NotApplicable


def mapped(output: Outputs, change: Callable[[Tensor], object]) -> Outputs:
    """Return an output of the same form, of what `tensors_in` looks into, its tensors changed."""
    made: dict[int, object] = {}

    def changed(leaf: object) -> object:
        if isinstance(leaf, Tensor):
            return change(leaf)
        if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
            fields = [field.name for field in dataclasses.fields(leaf) if field.init]
            return dataclasses.replace(leaf, **{f: inner(getattr(leaf, f)) for f in fields})
        if isinstance(leaf, Mapping):  # a mapping of a kind that torch doesn't look into
            return {key: inner(one) for key, one in leaf.items()}
        if not _is_plain(leaf):
            return leaf
        if id(leaf) in made:
            return made[id(leaf)]
        if not tensors_in(leaf):
            return leaf
        made[id(leaf)] = other = copy.copy(leaf)
        vars(other).update({name: inner(one) for name, one in vars(leaf).items()})
        return other

    def inner(value: object) -> object:
        return tree_map(changed, value)

    return inner(output)


def tensors_in(output: object) -> list[Tensor]:
    """Return the tensors of an output, in order."""
    found: list[Tensor] = []
    seen: dict[int, object] = {}

    def look(value: object) -> None:
        for leaf in tree_leaves(value):
            if isinstance(leaf, Tensor):
                found.append(leaf)
            elif dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
                look([getattr(leaf, field.name) for field in dataclasses.fields(leaf)])
            elif isinstance(leaf, Mapping):
                look(list(leaf.values()))
            elif _is_plain(leaf) and id(leaf) not in seen:
                seen[id(leaf)] = leaf
                look(list(vars(leaf).values()))

    look(output)
    return found


def _is_plain(leaf: object) -> bool:
    """Tell whether something is an object whose attributes are an answer's parts.

    A module's, a function's or a class's are not, nor those of what keeps them in a mapping of its
    own kind, which may know its keeper.
    """
    if leaf is None or isinstance(leaf, int | float | str):
        return False
    if isinstance(leaf, type | nn.Module | ModuleType) or callable(leaf):
        return False
    held = getattr(leaf, "__dict__", {}).values()
    return bool(held) and not any(
        isinstance(one, Mapping) and not isinstance(one, dict) for one in held
    )


def cast(values: Outputs, old: torch.dtype, new: torch.dtype) -> Outputs:
    """Return values of the same form, tensors of one dtype turned into another."""
    return mapped(values, lambda x: x.to(new) if x.dtype is old else x)


def scores_in(output: object) -> Tensor:
    """Return the scores in an output: what is called logits, or the first rows of numbers in it.

    Raises `NotApplicable` where an output of several parts has no floating-point tensor of rows.
    """
    return rows_in(output)[0]


def rows_in(output: object) -> list[Tensor]:
    """Return what may be the scores in an output: what is called logits, or all rows of numbers.

    Raises `NotApplicable` where an output of several parts has no floating-point tensor of rows.
    """
    if isinstance(output, Tensor):
        return [output]
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(named, Tensor):
        return [named]
    rows = [x for x in tensors_in(output) if x.is_floating_point() and x.dim() > 1]
    if not rows:
        raise NotApplicable(f"the model answers with a {type(output).__name__} without scores")
    return rows
