"""Compare the loss of a batch with those of its parts: is it their mean by items, or their sum?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.batches import Batch
from bench.errors import NotApplicable
from bench.job import Job, Loss
from bench.model.outputs import loss_without_training

CLOSE = 2e-3
"""How far, relatively, a batch's loss may be from its parts': in 16 bits they round otherwise."""
NOISE = 4.0
"""By how many times the difference of two equal calls, where a loss draws random numbers."""


@dataclass(frozen=True)
class PartsOfLoss:
    """The loss of a batch, those of its parts, how many items these hold, and what chance does."""

    whole: float
    parts: tuple[float, ...]
    items: tuple[int, ...]
    noise: float

    @property
    def mean(self) -> float:
        """Return the mean of the parts' losses, weighted by their items."""
        return sum(n * loss for n, loss in zip(self.items, self.parts, strict=True)) / sum(
            self.items
        )

    @property
    def is_mean(self) -> bool:
        """Return whether the parts' gradients, weighted by items, add up to that of the batch."""
        return abs(self.whole - self.mean) <= self._near

    @property
    def is_sum(self) -> bool:
        """Return whether the parts' gradients add up to that of the batch as they are."""
        return abs(self.whole - sum(self.parts)) <= self._near

    @property
    def is_of_pairs(self) -> bool:
        """Return whether the loss is outside of what any mean of the parts' could be.

        It is one over pairs of items then, which sees fewer of them in parts.
        """
        low, high = min(self.parts) - self._near, max(self.parts) + self._near
        return math.isfinite(self.mean) and not low <= self.whole <= high

    @property
    def _near(self) -> float:
        return CLOSE * max(map(abs, (self.whole, *self.parts))) + NOISE * self.noise


def parts_of_loss(
    job: Job, batch: Batch, parts: Sequence[Batch], loss: Loss | None = None
) -> PartsOfLoss:
    """Return the losses of a batch and of its parts, once, in evaluation mode.

    `loss` is the job's, or one of several. Raises what the loss raises.
    """
    with torch.compiler.set_stance("force_eager"):
        whole, again, *each = (
            loss_without_training(job, one, loss, seed)
            for seed, one in enumerate([batch, batch, *parts])
        )
    items = tuple(job.items(part) for part in parts)
    return PartsOfLoss(whole, tuple(each), items, abs(whole - again))


def check_item_losses(job: Job, batch: Batch) -> None:
    """Raise `NotApplicable` where the loss of a batch is not the mean of its items' losses.

    Both are computed once, in evaluation mode.
    """
    item_losses = job.item_losses
    assert item_losses is not None

    def mean(model: nn.Module, batch: Batch) -> Tensor:
        return item_losses(model, batch).mean()

    with torch.compiler.set_stance("force_eager"):
        whole, again = (loss_without_training(job, batch, seed=seed) for seed in (0, 1))
        ours = loss_without_training(job, batch, mean, seed=0)
    if abs(whole - ours) > CLOSE * max(abs(whole), abs(ours)) + NOISE * abs(whole - again):
        raise NotApplicable(
            f"the loss of a batch, {whole:.5g}, is not the mean of its item_losses, {ours:.5g}; "
            "with weights of the classes, for instance, let item_losses have them too"
        )
