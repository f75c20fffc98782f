"""Draw fixed items otherwise than the baseline does, in batches like its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.errors import NotApplicable
from bench.job import FixedItems, Job, Progress

Order = Callable[[torch.Generator], Tensor]
"""Draws the rows of one epoch, in their order."""


def labelled(job: Job) -> tuple[FixedItems, Tensor]:
    """Return a job's items and which labels each has, ``(N, labels)`` of 0 and 1.

    Raises `NotApplicable` where the job doesn't say, or there is nothing to tell apart.
    """
    if job.fixed is None or job.fixed.labels is None:
        what = "no `fixed` training items" if job.fixed is None else "`fixed` items without labels"
        raise NotApplicable(f"the baseline doesn't say which item has which label: {what}")
    labels = job.fixed.labels.cpu()
    table = labels if labels.ndim == 2 else nn.functional.one_hot(labels.long())
    there = table.sum(0) > 0
    if int(there.sum()) < 2:
        raise NotApplicable("all training items have the same label")
    return job.fixed, table[:, there].float()


def redrawn(job: Job, items: FixedItems, order: Order, by: str) -> Job:
    """Return a job that draws `items` in another order each epoch; its seed is torch's."""
    own, random = job.fixed, torch.Generator().manual_seed(torch.initial_seed())
    assert own is not None

    def rows(progress: Progress) -> Iterator[Tensor]:
        sizes = [len(batch) for batch in own.rows(progress)]
        chosen, size = order(random), max(sizes)
        drops_last = sum(sizes) < own.count
        end = len(chosen) - len(chosen) % size if drops_last else len(chosen)
        yield from torch.split(chosen[:end].to(job.device), size)

    new = replace(items, rows=rows)
    return job.claim("fixed", new, by=by).claim("batches", new.batches, by=by)
