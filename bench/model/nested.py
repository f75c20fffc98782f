"""Outputs of tuples, dicts and dataclasses: their tensors, and the scores among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from bench.batches import Outputs
from bench.errors import NotApplicable


def mapped(output: Outputs, change: Callable[[Tensor], object]) -> Outputs:
    """Return an output of the same form, of tuples, dicts and dataclasses, its tensors changed."""

    def changed(leaf: object) -> object:
        if isinstance(leaf, Tensor):
            return change(leaf)
        if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
            fields = [field.name for field in dataclasses.fields(leaf) if field.init]
            return dataclasses.replace(leaf, **{f: inner(getattr(leaf, f)) for f in fields})
        if isinstance(leaf, Mapping):  # a mapping of a kind that torch doesn't look into
            return {key: inner(one) for key, one in leaf.items()}
        return leaf

    def inner(value: object) -> object:
        return tree_map(changed, value)

    return inner(output)


def tensors_in(output: object) -> list[Tensor]:
    """Return the tensors of an output, in order."""
    found: list[Tensor] = []
    for leaf in tree_leaves(output):
        if isinstance(leaf, Tensor):
            found.append(leaf)
        elif dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
            found += tensors_in([getattr(leaf, field.name) for field in dataclasses.fields(leaf)])
        elif isinstance(leaf, Mapping):
            found += tensors_in(list(leaf.values()))
    return found


def cast(values: Outputs, old: torch.dtype, new: torch.dtype) -> Outputs:
    """Return values of the same form, tensors of one dtype turned into another."""
    return mapped(values, lambda x: x.to(new) if x.dtype is old else x)


def scores_in(output: object) -> Tensor:
    """Return the scores in an output: what is called logits, or the first rows of numbers in it.

    Raises `NotApplicable` where an output of several parts has no floating-point tensor of rows.
    """
    if isinstance(output, Tensor):
        return output
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    rows = [x for x in tensors_in(output) if x.is_floating_point() and x.dim() > 1]
    if isinstance(named, Tensor):
        return named
    if not rows:
        raise NotApplicable(f"the model answers with a {type(output).__name__} without scores")
    return rows[0]
