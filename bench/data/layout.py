"""Along which dimension a baseline's items lie, read from the inputs that it samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from bench.batches import (
    Batch,
    Inputs,
    chunk_items,
    each_tensor,
    first_size,
    inputs_of,
    select_items,
)
from bench.data import entries
from bench.job import Job
from bench.random_state import undisturbed


def items_held(one: Inputs, many: Inputs, asked: int) -> tuple[int, int]:
    """Return how many items the inputs of one item hold, and those of `asked` items.

    What grows with the items tells it: a dimension, or a flattened one. Where nothing grows (a
    whole graph, a single item) it is the length of the first tensor.
    """
    if (long := entries.lengths(one, many)) and long[1] % long[0] == 0:
        return 1, long[1] // long[0]
    growth = [b // a for a, b in _sizes(one, many) if b % a == 0 and b > a]
    if not growth:
        return _first_length(one), _first_length(many)
    return 1, asked if asked in growth else growth[0]


def with_layout(job: Job) -> Job:
    """Return a job that counts, splits and selects items along the dimension that they lie in.

    Time-first batches ``(T, B, ...)`` have it second; lists of images have items for entries, where
    the sample is such a list. What a baseline says itself is left as it is, and so is everything
    where its samples don't tell.
    """
    if (job.items, job.split, job.select) != (first_size, chunk_items, select_items):
        return job
    if _in_lists(job):
        return replace(job, items=entries.count, split=entries.split, select=entries.select)
    dim = dim_of_items(job)
    if not dim:
        return job
    return replace(job, items=_count(dim), split=_split(dim), select=_select(dim))


def _in_lists(job: Job) -> bool:
    samples = _samples(job)
    return samples is not None and entries.lengths(*samples) == (1, 2)


def dim_of_items(job: Job) -> int | None:
    """Return where the first tensor of two items is twice as long as that of one."""
    one, two = map(_tensors, _samples(job) or ((), ()))
    if not one or not two or one[0].dim() != two[0].dim():
        return None
    sizes = zip(one[0].shape, two[0].shape, strict=True)
    return next((dim for dim, (a, b) in enumerate(sizes) if (a, b) == (1, 2)), None)


def _samples(job: Job) -> tuple[Inputs, Inputs] | None:
    """Return a sample of one item and of two; None where the job can't give them."""
    try:
        with undisturbed(job.device):
            return job.sample(1), job.sample(2)
    except Exception:  # noqa: BLE001 - advice costs no trial; what is wrong is said where it is used
        return None


def _tensors(inputs: Inputs) -> list[Tensor]:
    """Return the tensors that may hold items: a single number belongs to all of them.

    A packed sequence, whose rows are the steps of all, stands as its first step.
    """
    leaves = torch.utils._pytree.tree_leaves(inputs, lambda leaf: isinstance(leaf, PackedSequence))
    first = (leaf.data[: int(leaf.batch_sizes[0])] if isinstance(leaf, PackedSequence) else leaf
             for leaf in leaves)  # fmt: skip
    return [leaf for leaf in first if isinstance(leaf, Tensor) and leaf.dim()]


def _sizes(one: Inputs, many: Inputs) -> Iterator[tuple[int, int]]:
    """Yield the lengths, all above 0, of each dimension of the tensors of two like inputs."""
    for single, several in zip(_tensors(one), _tensors(many), strict=False):
        for size, other in zip(single.shape, several.shape, strict=False):
            if size and other:
                yield size, other


def _first_length(inputs: Inputs) -> int:
    shapes = [tensor.shape for tensor in _tensors(inputs)]
    return int(shapes[0][0]) if shapes and shapes[0] else 1


def _turned(batch: Batch, dim: int) -> Batch:
    """Exchange a batch's first dimension and that of its items, where its tensors have both.

    What has an entry for each item alone (labels) has them along its first dimension already.
    """

    def turned(parts: list[Tensor]) -> Tensor:
        whole = isinstance(parts[0], PackedSequence) or parts[0].dim() <= dim
        return parts[0] if whole else parts[0].transpose(0, dim)

    return each_tensor([batch], turned)


def _count(dim: int) -> Callable[[Batch], int]:
    return lambda batch: int(inputs_of(batch).shape[dim])


def _split(dim: int) -> Callable[[Batch, int], list[Batch]]:
    return lambda batch, parts: [_turned(p, dim) for p in chunk_items(_turned(batch, dim), parts)]


def _select(dim: int) -> Callable[[Batch, Tensor], Batch]:
    return lambda batch, index: _turned(select_items(_turned(batch, dim), index), dim)
