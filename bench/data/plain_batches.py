"""Count and split batches in plain lines, where a training loop is written out."""

from __future__ import annotations

import itertools

from torch import Tensor

from bench.batches import Batch, chunk_items, first_size
from bench.errors import NotApplicable
from bench.job import Job, Progress
from bench.random_state import undisturbed

ITEMS_OF = '''
def items_of(batch):
    """Return how many items a batch holds: the length of its first tensor."""
    while not isinstance(batch, torch.Tensor):
        batch = next(iter(batch.values() if isinstance(batch, dict) else batch))
    return len(batch)
'''
MICROBATCHES = '''
def microbatches(batch, most, least):
    """Return a batch in parts, at most so many, that hold at least so many items."""
    for count in range(most, 1, -1):
        parts = split(batch, math.ceil(items_of(batch) / count))
        if all(items_of(part) >= least for part in parts):
            return parts
    return [batch]


def split(batch, size):
    """Return a batch in parts of so many items."""
    if isinstance(batch, torch.Tensor):
        return list(batch.split(size))
    if isinstance(batch, dict):
        columns = zip(*(split(values, size) for values in batch.values()))
        return [dict(zip(batch, column)) for column in columns]
    columns = zip(*(split(values, size) for values in batch))
    make = getattr(type(batch), "_make", type(batch))
    return [make(column) for column in columns]
'''


def plain_batch(job: Job) -> Batch:
    """Return a job's first batch.

    Raises `NotApplicable` where the lines above don't count and split it as the job does.
    """
    if job.items is not first_size or job.split is not chunk_items:
        raise NotApplicable("the job counts or splits its batches otherwise than by their first"
                            " dimension: bench train trains with it")  # fmt: skip
    with undisturbed(job.device):
        batch = next(iter(job.batches(Progress(job.epochs, epoch_steps=job.epoch_steps))))
    leaves = list(_leaves(batch))
    sizes = {len(one) for one in leaves if isinstance(one, Tensor) and one.dim()}
    if len(sizes) != 1 or not all(isinstance(one, Tensor) and one.dim() for one in leaves):
        raise NotApplicable("a batch holds more than tensors of equally many items: bench train"
                            " trains with it")  # fmt: skip
    return batch


def _leaves(batch: Batch) -> list[Batch]:
    """Return what tuples, lists and mappings hold in the end."""
    if isinstance(batch, dict):
        batch = list(batch.values())
    if not isinstance(batch, list | tuple):
        return [batch]
    return list(itertools.chain.from_iterable(map(_leaves, batch)))
