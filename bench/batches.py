"""Split, select and rebuild batches: trees of tensors with items along dim 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

Batch = (
    Any  # a user's batch: a tensor, or tuples, lists and dicts of tensors with items along dim 0
)


def first_size(batch: Batch) -> int:
    """Return how many items a batch holds: the length of its first tensor along dim 0."""
    return inputs_of(batch).shape[0]


def chunk_items(batch: Batch, parts: int) -> list[Batch]:
    """Split a batch into at most `parts` microbatches along dim 0 of its tensors."""
    if isinstance(batch, Tensor):
        return list(batch.chunk(parts))
    rows = zip(*(chunk_items(value, parts) for value in _values(batch)), strict=True)
    return [rebuilt(batch, row) for row in rows]


def select_items(batch: Batch, index: Tensor) -> Batch:
    """Return the items of a batch at `index` ``(N,)``, in that order."""
    if isinstance(batch, Tensor):
        return batch[index]
    return rebuilt(batch, [select_items(value, index) for value in _values(batch)])


def inputs_of(batch: Batch) -> Tensor:
    """Return a batch's first tensor, which is what the model sees: ``(B, ...)``."""
    return batch if isinstance(batch, Tensor) else inputs_of(_values(batch)[0])


def with_inputs(batch: Batch, inputs: Tensor) -> Batch:
    """Return a batch with its first tensor replaced."""
    if isinstance(batch, Tensor):
        return inputs
    first, *others = _values(batch)
    return rebuilt(batch, [with_inputs(first, inputs), *others])


def each_tensor(batches: Sequence[Batch], change: Callable[[list[Tensor]], Tensor]) -> Batch:
    """Return a batch of the same form whose tensors are made from those at the same place."""
    first = batches[0]
    if isinstance(first, Tensor):
        return change(list(batches))
    columns = zip(*(_values(batch) for batch in batches), strict=True)
    return rebuilt(first, [each_tensor(column, change) for column in columns])


def _values(batch: Batch) -> list[Any]:
    return list(batch.values()) if isinstance(batch, Mapping) else list(batch)


def rebuilt(batch: Batch, values: Iterable[Any]) -> Batch:
    """Return a batch of the same kind with other parts."""
    if isinstance(batch, Mapping):
        return dict(zip(batch, values, strict=True))
    make = getattr(type(batch), "_make", type(batch))  # a named tuple takes its fields apart
    return make(values)
