"""Oversampling: show the items of rare classes several times in an epoch.

What:    each class that has fewer items than asked for gets some of its items again, the rarest
         class first, until it has as many (items of several labels count for all of theirs). With
         `how=index` only their numbers are repeated; `how=copy` copies the items in memory, as it
         is often done: the same training, at a multiple of the memory.
Helps:   the recall of rare classes.
Hurts:   an epoch has more steps, and overfits to the few items that it repeats.
Effect:  learning.
Source:  Buda, Maki and Mazurowski, A Systematic Study of the Class Imbalance Problem in
         Convolutional Neural Networks, Neural Networks 2018.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.batches import Batch, joined, select_items
from bench.data.sampling import labelled, redrawn
from bench.errors import NotApplicable
from bench.job import FixedItems, Job
from bench.technique import Effect, Parts, Stage, Technique


class Oversampling(Technique):
    """Repeat items until each class has enough."""

    name: ClassVar[str] = "oversampling"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.LEARNING
    touches: ClassVar[Parts | None] = Parts()

    samples: int | None = Field(
        None, ge=1, description="items that each class is to have; null: as many as the largest"
    )
    most: int = Field(10, ge=2, description="no item is shown more often than this in an epoch")
    how: Literal["index", "copy"] = Field(
        "index", description="repeat the items' numbers, or copy the items"
    )

    def apply(self, job: Job) -> Job:
        """Claim `fixed` and `batches`."""
        items, table = labelled(job)
        wanted = self.samples or int(table.sum(0).max())
        extra = repeated(table, wanted, self.most)
        if not len(extra):
            raise NotApplicable(f"no class has fewer than {wanted} items")
        whole = torch.cat([torch.arange(items.count), extra])
        if self.how == "copy":
            items, whole = copied(items, extra), torch.arange(len(whole))
        return redrawn(
            job,
            items,
            lambda random: whole[torch.randperm(len(whole), generator=random)],
            self.name,
        )


def repeated(table: Tensor, wanted: int, most: int) -> Tensor:
    """Return the rows to show again so that each column of `table` ``(N, labels)`` has `wanted`.

    Which ones follows from torch's seed. A class none of whose items are left to repeat stays rare.
    """
    random = torch.Generator().manual_seed(torch.initial_seed())
    counts, shown = table.sum(0), torch.ones(len(table))
    extra: list[Tensor] = []
    for label in counts.argsort().tolist():
        own = table[:, label].nonzero()[:, 0]
        while len(own) and counts[label] < wanted:
            left = own[shown[own] < most]
            if not len(left):
                break
            missing = int(wanted - counts[label])
            chosen = left[torch.randperm(len(left), generator=random)[:missing]]
            shown[chosen] += 1
            counts = counts + table[chosen].sum(0)
            extra.append(chosen)
    return torch.cat(extra) if extra else torch.empty(0, dtype=torch.long)


def copied(items: FixedItems, extra: Tensor) -> FixedItems:
    """Return items that lie in memory, those of the rows `extra` as often again as they occur."""
    whole = joined([items.take(torch.arange(items.count)), items.take(extra)])

    def take(rows: Tensor) -> Batch:
        return select_items(whole, rows)

    labels = None if items.labels is None else torch.cat([items.labels, items.labels[extra]])
    return replace(items, count=items.count + len(extra), take=take, labels=labels)
