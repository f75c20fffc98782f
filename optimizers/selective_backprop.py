"""Selective backprop: learn only from the items of a batch that the net finds hard.

What:    a forward pass without gradients scores a whole batch; a share of its items, drawn by the
         rank of their loss, makes the real step. Only these count as items trained on.
Helps:   data with many easy items, where forward and backward passes of these teach nothing more.
Hurts:   scoring costs a forward pass, so half of the items is 5/6 of the work; wrong labels are
         hard too, and are chosen. Batches that reach batch norm are smaller.
Effect:  learning; a gain is less work. The first step sees that the loss of a batch is the mean of
         what its items are scored by.
Source:  Jiang et al., Accelerating Deep Learning by Focusing on the Biggest Losers, 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from bench.batches import Batch
from bench.errors import NotApplicable
from bench.job import Job, Mark, Progress, Schedule, plain_step
from bench.model.batch_norm import has_batch_norm
from bench.model.parts_of_loss import check_items_apart
from bench.model.train_mode import evaluating
from bench.technique import Effect, Stage, Technique

Items = Callable[[Batch], int]


class SelectiveBackprop(Technique):
    """Train on the hard items of each batch."""

    name: ClassVar[str] = "selective-backprop"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.LEARNING
    less_work: ClassVar[bool] = True
    conflicts: ClassVar[frozenset[str]] = frozenset({"curriculum-learning"})

    keep: float = Field(
        0.5, gt=0, lt=1, description="share of a batch that is trained on",
        json_schema_extra={"range": [0.25, 0.5, 0.75]},
    )  # fmt: skip
    power: float = Field(
        2.0, ge=0, le=8, description="how sharply hard items are preferred; 0: at random"
    )
    after: float = Field(
        0.2, ge=0, lt=1, description="share of the epochs that train on whole batches first"
    )

    def apply(self, job: Job) -> Job:
        """Claim `step`; wrap `items`, which then are those trained on, and `schedule`."""
        if job.item_losses is None:
            raise NotApplicable(
                "the baseline gives no loss of single items: its job has no item_losses"
            )
        if not self.selects(job.epochs - 1, job.epochs):
            raise NotApplicable(
                f"after={self.after} trains all {job.epochs} epochs on whole batches, and none of "
                "them on a choice"
            )
        draw = torch.Generator(job.device).manual_seed(torch.initial_seed())
        choice = _Choice(self, draw, job.items, least=2 if has_batch_norm(job.model) else 1)
        job = job.claim("step", choice.step, by=self.name)
        job = job.wrap("items", choice.items, by=self.name)
        return job.wrap("schedule", choice.schedule, by=self.name)

    def selects(self, epoch: int, epochs: int) -> bool:
        """Tell whether an epoch, of so many, trains on a share of its items."""
        return epoch >= self.after * epochs

    def kept(self, items: int, least: int) -> int:
        """Return how many of so many items are trained on: at least `least`, if there are."""
        return min(items, max(least, round(self.keep * items)))


@dataclass
class _Choice:
    """Which items are trained on; from some epoch on, not all."""

    rule: SelectiveBackprop
    random: torch.Generator
    count: Items
    least: int
    """Items that the model trains on at least: batch norm wants two."""
    selects: bool = False
    compared: bool = False
    """Whether the items' losses were compared with the baseline's loss."""
    trained: int = 0
    """Items of the last choice."""

    def schedule(self, old: Schedule) -> Schedule:
        def schedule(optimizer: Optimizer, progress: Progress) -> None:
            self.selects = self.rule.selects(progress.epoch, progress.total_epochs)
            old(optimizer, progress)

        return schedule

    def items(self, old: Items) -> Items:
        return lambda batch: self.trained if self.selects else old(batch)

    def step(self, job: Job, batch: Batch, optimizer: Optimizer, mark: Mark) -> Tensor:
        """Score, choose, train; return the mean loss of the whole batch as it was scored."""
        if not self.compared:
            check_items_apart(job, batch)
            self.compared = True
        if not self.selects:
            return plain_step(job, batch, optimizer, mark)
        losses = scores(job, batch)
        mark("score")
        chosen = job.select(batch, self._chosen(losses))
        plain_step(job, chosen, optimizer, mark)
        self.trained = self.count(chosen)
        return losses.mean()

    def _chosen(self, losses: Tensor) -> Tensor:
        ranks = losses.argsort().argsort() + 1.0
        weights = (ranks / len(losses)) ** self.rule.power
        # a race of exponential clocks draws without replacement; multinomial would synchronise
        clocks = torch.empty_like(weights).exponential_(generator=self.random) / weights
        return clocks.topk(self.rule.kept(len(losses), self.least), largest=False).indices


def scores(job: Job, batch: Batch) -> Tensor:
    """Return each item's loss ``(B,)`` in eval mode: neither dropout nor batch norm notice."""
    assert job.item_losses is not None
    with torch.no_grad(), evaluating(job.model):
        return job.item_losses(job.model, batch)
