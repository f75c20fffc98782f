"""Curriculum learning: learn from easy items first, and let harder ones in with the epochs.

What:    an item is easy while its loss is among the lower of the recent losses of all items; only
         easy ones enter the loss. Their share grows from `start` to all, at which it stays.
Helps:   noisy or very mixed data, where hard items mislead a young net: fewer epochs to a target.
Hurts:   the work of a step stays as it is (an item's loss is known only after its forward pass), so
         without fewer epochs nothing is gained; rare classes, which are hard, come late.
Effect:  learning.
Source:  Bengio et al., Curriculum Learning, ICML 2009; Kumar et al., Self-Paced
         Learning for Latent Variable Models, NIPS 2010.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.batches import Batch
from bench.errors import NotApplicable
from bench.job import Job, Progress, Schedule
from bench.model.parts_of_loss import check_item_losses
from bench.technique import Effect, Stage, Technique


class CurriculumLearning(Technique):
    """Leave hard items out of the loss at first."""

    name: ClassVar[str] = "curriculum-learning"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.LEARNING
    conflicts: ClassVar[frozenset[str]] = frozenset({"selective-backprop"})

    start: float = Field(0.8, gt=0, lt=1, description="share of items that count as easy at first")
    until: float = Field(0.5, gt=0, le=1, description="share of the epochs after which all count")
    window: int = Field(1024, ge=16, description="how many recent losses an item is compared with")

    def apply(self, job: Job) -> Job:
        """Claim `loss` and wrap `schedule`, which sets the pace of an epoch."""
        item_losses, whole = job.item_losses, job.loss
        if item_losses is None:
            raise NotApplicable(
                "the baseline gives no loss of single items: its job has no item_losses"
            )
        if job.epochs < 2:
            raise NotApplicable("one epoch is too few: harder items enter from epoch to epoch")
        pace = Pace(self.start, self.window)

        def loss(model: nn.Module, batch: Batch) -> Tensor:
            if pace.share >= 1:
                return whole(model, batch)
            if not pace.compared:
                check_item_losses(job, batch)
                pace.compared = True
            losses = item_losses(model, batch)
            easy = pace.easy(losses.detach()).to(losses.dtype)
            return (losses * easy).sum() / easy.sum().clamp(min=1)

        def wrapper(old: Schedule) -> Schedule:
            def schedule(optimizer: Optimizer, progress: Progress) -> None:
                grown = min(1.0, progress.epoch / (self.until * progress.total_epochs))
                pace.share = self.start + (1 - self.start) * grown
                old(optimizer, progress)

            return schedule

        return job.claim("loss", loss, by=self.name).wrap("schedule", wrapper, by=self.name)


@dataclass
class Pace:
    """Which share of items counts as easy now, and the recent losses that say what easy is."""

    share: float
    window: int
    recent: Tensor = field(default_factory=lambda: torch.empty(0))
    compared: bool = False
    """Whether the items' losses were compared with the baseline's loss."""

    def easy(self, losses: Tensor) -> Tensor:
        """Tell which of `losses` ``(B,)`` are among the lower `share` of the recent ones."""
        recent = torch.cat([self.recent.to(losses.device), losses.float()])
        self.recent = recent[-self.window :]
        return losses <= torch.quantile(self.recent, self.share)
