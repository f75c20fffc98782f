"""Split, select and rebuild batches: trees of tensors with items along dim 0.

A tree is made of mappings, lists, tuples and dataclasses. Beside tensors it may hold what has one
entry an item (a list of texts, say), which is split with them, and what belongs to all of it
(numbers, texts, None), which every part of it holds too.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from bench.errors import NotApplicable

Batch = Any
"""A user's batch: a tensor, or tuples, lists and dicts of tensors with items along dim 0."""
Inputs = Any
"""What `Job.sample` gives: a tuple of arguments, a mapping of named ones, or a pair of both."""
Outputs = Any
"""What a user's model answers: a tensor, or tuples, dicts and dataclasses of them."""


def first_size(batch: Batch) -> int:
    """Return how many items a batch holds: the length along dim 0 of what the model sees.

    Of a packed sequence, whose rows are the steps of all, as many as make its first step; of a list
    of sequences as many as it holds.
    """
    for leaf in _leaves(batch):
        if isinstance(leaf, PackedSequence):
            return int(leaf.batch_sizes[0])
        if isinstance(leaf, list | tuple):
            return len(leaf)
        if leaf.dim():
            break
    return inputs_of(batch).shape[0]


def chunk_items(batch: Batch, parts: int) -> list[Batch]:
    """Split a batch into at most `parts` microbatches along dim 0 of its tensors."""
    items = first_size(batch)
    size = max(1, math.ceil(items / parts))
    starts = range(0, max(items, 1), size)
    slices = [slice(start, start + size) for start in starts]
    return [_of_items(batch, items, operator.itemgetter(part)) for part in slices]


def select_items(batch: Batch, index: Tensor) -> Batch:
    """Return the items of a batch at `index` ``(N,)``, in that order."""

    def chosen(values: Batch) -> Batch:
        if isinstance(values, Tensor):
            return values[index.to(values.device)]
        return [values[i] for i in index.tolist()]

    return _of_items(batch, first_size(batch), chosen)


def _of_items(batch: Batch, items: int, change: Callable[[Batch], Batch]) -> Batch:
    """Return a batch with `change` made to all that has an entry for each of so many items.

    Raises `NotApplicable` for a tensor of another length, or one that can't be taken apart.
    """
    if isinstance(batch, Tensor):
        if not batch.dim():
            return batch
        if batch.layout is not torch.strided:
            raise NotApplicable("a batch holds a sparse tensor, which has no items to be split by")
        if len(batch) != items:
            raise NotApplicable(
                f"a batch's tensors have {items} and {len(batch)} rows along dim 0, which can't be "
                "the items of both; give the job its own `items`, `split` and `select`"
            )
        return change(batch)
    if not _is_tree(batch):
        return batch
    if type(batch) in (list, tuple) and next(_tensors(batch), None) is None:
        return type(batch)(change(list(batch))) if len(batch) == items else batch
    values = _values(batch)
    return rebuilt(batch, [
        type(value)(change(list(value)))
        if _of_entries(value, values) and len(value) == items else _of_items(value, items, change)
        for value in values
    ])  # fmt: skip


def _of_entries(value: Batch, beside: Sequence[Batch]) -> bool:
    """Tell whether a list has an item in each tensor: sequences of several lengths, say.

    Their lengths differ, or aren't those of the tensors beside them, of which one tells as many
    items as there are entries.
    """
    if type(value) not in (list, tuple) or not value:
        return False
    if not all(isinstance(one, Tensor) and one.dim() for one in value):
        return False
    lengths = {len(one) for one in value}
    told = {len(one) for one in beside if isinstance(one, Tensor) and one.dim()}
    if told:
        return len(value) in told and not lengths <= told
    return type(value) is list and len(lengths) > 1  # a tuple may be a call's arguments


def inputs_of(batch: Batch) -> Tensor:
    """Return a batch's first tensor of items, which is what the model sees: ``(B, ...)``.

    A single number belongs to all of the batch.
    """
    for tensor in _tensors(batch):
        if tensor.dim():
            return tensor
    raise NotApplicable(
        f"a batch of the type {type(batch).__name__} holds no tensor of items; give the job its "
        "own `items`, which counts them"
    )


def with_inputs(batch: Batch, inputs: Tensor) -> Batch:
    """Return a batch with its first tensor of items replaced."""
    if isinstance(batch, Tensor):
        return inputs
    values = _values(batch)
    for index, value in enumerate(values):
        if any(tensor.dim() for tensor in _tensors(value)):
            values[index] = with_inputs(value, inputs)
            break
    return rebuilt(batch, values)


def each_tensor(batches: Sequence[Batch], change: Callable[[list[Tensor]], Tensor]) -> Batch:
    """Return a batch of the same form whose tensors are made from those at the same place.

    Lists without tensors follow one another; what else is no tensor is that of the first batch. A
    packed sequence, whose parts lie on several devices, is changed as one, by methods like theirs.
    Raises `NotApplicable` for several of them: they are not joined by their parts.
    """
    first = batches[0]
    if isinstance(first, PackedSequence):
        if len(batches) > 1:
            raise NotApplicable("batches hold packed sequences, which can't be joined to one")
        return change(list(batches))
    if isinstance(first, Tensor):
        return change(list(batches))
    if type(first) in (list, tuple) and next(_tensors(first), None) is None:
        return type(first)(itertools.chain.from_iterable(batches))
    if not _is_tree(first):
        return first
    columns = zip(*(_values(batch) for batch in batches), strict=True)
    return rebuilt(first, [each_tensor(column, change) for column in columns])


def joined(batches: Sequence[Batch]) -> Batch:
    """Return one batch with the items of all; a single number is that of the first."""
    return each_tensor(batches, lambda parts: torch.cat(parts) if parts[0].dim() else parts[0])


def rebuilt(batch: Batch, values: Iterable[Batch]) -> Batch:
    """Return a batch of the same kind with other parts."""
    if isinstance(batch, Mapping):
        return dict(zip(batch, values, strict=True))
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        return dataclasses.replace(batch, **dict(zip(_fields(batch), values, strict=True)))
    make = getattr(type(batch), "_make", type(batch))  # a named tuple takes its fields apart
    return make(values)


def _is_tree(batch: Batch) -> bool:
    of_fields = dataclasses.is_dataclass(batch) and not isinstance(batch, type)
    return of_fields or isinstance(batch, Mapping | list | tuple)


def _values(batch: Batch) -> list[Batch]:
    if dataclasses.is_dataclass(batch):
        return [getattr(batch, name) for name in _fields(batch)]
    return list(batch.values()) if isinstance(batch, Mapping) else list(batch)


def _fields(batch: Batch) -> list[str]:
    return [field.name for field in dataclasses.fields(batch) if field.init]


def _leaves(batch: Batch) -> Iterator[Tensor | PackedSequence | list[Tensor] | tuple[Tensor, ...]]:
    """Yield the tensors of a batch in order; as one those of a packed or a listed sequence."""
    if isinstance(batch, Tensor | PackedSequence):
        yield batch
    elif _is_tree(batch):
        values = _values(batch)
        for value in values:
            yield from [value] if _of_entries(value, values) else _leaves(value)


def _tensors(batch: Batch) -> Iterator[Tensor]:
    """Yield the tensors of a batch in order."""
    if isinstance(batch, Tensor):
        yield batch
    elif _is_tree(batch):
        for value in _values(batch):
            yield from _tensors(value)
