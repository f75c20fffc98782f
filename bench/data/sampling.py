"""Draw fixed items: shuffled, as baselines do, or otherwise, in batches like a baseline's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.batches import Batch, each_tensor
from bench.errors import NotApplicable
from bench.job import FixedItems, Job, Progress
from bench.random_state import undisturbed

Order = Callable[[torch.Generator], Tensor]
"""Draws the rows of one epoch, in their order."""


def shuffled(
    count: int, size: int, seed: int, device: torch.device | str = "cpu"
) -> Callable[[Progress], Iterator[Tensor]]:
    """Return a draw of all rows, shuffled anew in each epoch; a last smaller batch is dropped.

    A part for `FixedItems.rows`.
    """
    random = torch.Generator().manual_seed(seed)

    def rows(progress: Progress) -> Iterator[Tensor]:
        order = torch.randperm(count, generator=random).to(device)
        yield from torch.split(order[: count - count % size], size)

    return rows


def placing(device: torch.device) -> Callable[[Batch], Batch]:
    """Return what moves a batch's tensors to a device; a part for `FixedItems.place`."""

    def place(batch: Batch) -> Batch:
        return each_tensor([batch], lambda parts: parts[0].to(device, non_blocking=True))

    return place


def items_an_epoch(job: Job) -> int:
    """Return how many items an epoch trains on; raise `NotApplicable` where that is not known."""
    if known := job.epoch_items or job.data.train_items:
        return known
    raise NotApplicable(
        "how many items an epoch has is not known: the training part is a stream that doesn't tell "
        "its length; give the job `epoch_items`"
    )


def labelled(job: Job) -> tuple[FixedItems, Tensor]:
    """Return a job's items and which labels each has, ``(N, labels)`` of 0 and 1.

    Raises `NotApplicable` where the job doesn't say, a label is not known, or there is nothing to
    tell apart.
    """
    if job.fixed is None or job.fixed.labels is None:
        what = "no `fixed` training items" if job.fixed is None else "`fixed` items without labels"
        raise NotApplicable(f"the baseline doesn't say which item has which label: {what}")
    labels = job.fixed.labels.cpu()
    odd = ~((labels >= 0) & (labels <= 1)) if labels.ndim == 2 else ~(labels >= 0)
    if bool(odd.any()):
        raise NotApplicable(
            f"{int(odd.sum())} of {labels.numel()} labels of the training items are not known, such"
            f" as {labels[odd][0].item():g}: classes count from 0, and other labels lie in 0..1"
        )
    table = labels if labels.ndim == 2 else nn.functional.one_hot(labels.long())
    there = table.sum(0) > 0
    if int(there.sum()) < 2:
        raise NotApplicable("all training items have the same label")
    return job.fixed, table[:, there].float()


def redrawn(job: Job, items: FixedItems, order: Order, by: str) -> Job:
    """Return a job that draws `items` in another order each epoch; its seed is torch's.

    Of as many items as there were, an epoch has as many steps of as many as before; of more, it
    grows with them.
    """
    own, random = job.fixed, torch.Generator().manual_seed(torch.initial_seed())
    assert own is not None
    count, drawn = own.count, len(order(torch.Generator()))

    def rows(progress: Progress) -> Iterator[Tensor]:
        sizes = [len(batch) for batch in own.rows(progress)]
        if drawn != count:
            sizes = _grown(sizes, count, drawn)
        chosen = order(random)
        while len(chosen) < sum(sizes):  # an epoch that goes through the items several times
            chosen = torch.cat([chosen, order(random)])
        yield from torch.split(chosen[: sum(sizes)].to(job.device), sizes)

    new = replace(items, rows=rows)
    if drawn != count:
        known = job.epoch_items or job.data.train_items
        grown = round(known * drawn / count) if known else None
        job = replace(job, epoch_steps=_grown_steps(job, own, drawn), epoch_items=grown)
    return job.claim("fixed", new, by=by).claim("batches", new.batches, by=by)


def _grown_steps(job: Job, items: FixedItems, drawn: int) -> int | None:
    """Return the batches of an epoch where so many items are drawn; None: the job tells none."""
    if job.epoch_steps is None:
        return None
    progress = Progress(job.epochs, epoch_steps=job.epoch_steps)
    with undisturbed(job.device):
        sizes = [len(rows) for rows in items.rows(progress)]
    return len(_grown(sizes, items.count, drawn))


def _grown(sizes: list[int], count: int, drawn: int) -> list[int]:
    """Return the sizes of an epoch's batches where `drawn` items are drawn in the place of `count`.

    An epoch of a part of all items stays one of that part; a last smaller batch is left out where
    it was.
    """
    size, left_out = max(sizes), count - sum(sizes)
    total = drawn if 0 <= left_out < size else drawn * sum(sizes) // count
    full, rest = divmod(total, size)
    return [size] * full + [rest] * (rest > 0 >= left_out)
