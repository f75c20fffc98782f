"""Read batches before they are needed: in a thread of this process, or in worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from bench.batches import Batch, each_tensor
from bench.errors import NotApplicable
from bench.job import FixedItems, Job, Progress

THREAD = "thread"
AHEAD = 2
"""Batches that are read ahead, by a thread or by each worker."""


def with_loader(job: Job, name: str) -> Job:
    """Return a job whose batches are read as the setting `loader` says.

    Raises `NotApplicable` where the job doesn't tell how its items are taken.
    """
    if job.fixed is None:
        raise NotApplicable(
            f"loader={name}: training items may change (augmentation), the job has no `fixed` ones"
        )
    items = replace(job.fixed, load=read_ahead if name == THREAD else _Workers(int(name)))
    return replace(job, fixed=items, batches=items.batches)


def read_ahead(items: FixedItems, progress: Progress) -> Iterator[Batch]:
    """Yield batches that a thread has taken in the meantime."""
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(1) as pool:
        for rows in items.rows(progress):
            waiting.append(pool.submit(_taken, items, rows))
            if len(waiting) > AHEAD:
                yield items.place(waiting.popleft().result())
        while waiting:
            yield items.place(waiting.popleft().result())


def _taken(items: FixedItems, rows: Tensor) -> Batch:
    """Take a batch, into memory that can be copied to a GPU while it computes."""
    batch = items.take(rows)
    if not torch.cuda.is_available():
        return batch
    return each_tensor([batch], lambda parts: parts[0].pin_memory())


@dataclass
class _Workers:
    """Processes that live as long as the training does."""

    count: int
    rows: _Rows = field(default_factory=lambda: _Rows())
    loader: DataLoader[Batch] | None = None
    not_remembered: ClassVar[tuple[str, ...]] = ("loader", "rows")
    """By `bench.remembering`: both are made again."""

    def __call__(self, items: FixedItems, progress: Progress) -> Iterator[Batch]:
        if self.loader is None:
            self.loader = DataLoader(
                _Taken(items),
                batch_size=None,
                sampler=self.rows,
                num_workers=self.count,
                multiprocessing_context="fork",  # what takes items can only be inherited
                persistent_workers=True,
                prefetch_factor=AHEAD,
                pin_memory=torch.cuda.is_available(),
                generator=torch.Generator(),  # or each epoch would draw from torch's global one
            )
        self.rows.current = list(items.rows(progress))
        return map(items.place, self.loader)


class _Rows(Sampler[Tensor]):
    """The rows of the batches of the epoch that is running."""

    def __init__(self) -> None:
        self.current: list[Tensor] = []

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.current)

    def __len__(self) -> int:
        return len(self.current)


class _Taken(Dataset[Batch]):
    """Batches by their rows."""

    def __init__(self, items: FixedItems) -> None:
        self.items = items

    def __getitem__(self, rows: Tensor) -> Batch:
        return self.items.take(rows)
