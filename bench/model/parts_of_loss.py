"""Compare the loss of a batch with those of its parts: is it their mean, weighted by items?"""

from __future__ import annotations

from dataclasses import dataclass

from bench.batches import Batch
from bench.job import Job, Loss
from bench.model.outputs import loss_without_training

CLOSE = 1e-3
"""How far, relatively, the mean of parts may lie from the whole."""
NOISE = 4.0
"""By how many times the difference of two equal calls, where a loss draws random numbers."""


@dataclass(frozen=True)
class PartsOfLoss:
    """The loss of a batch, the mean of its parts' losses by their items, and what chance does."""

    whole: float
    mean: float
    noise: float

    @property
    def is_mean(self) -> bool:
        """Return whether gradients of the parts add up to that of the batch."""
        near = CLOSE * max(abs(self.whole), CLOSE) + NOISE * self.noise
        return abs(self.whole - self.mean) <= near


def parts_of_loss(job: Job, batch: Batch, parts: int = 2, loss: Loss | None = None) -> PartsOfLoss:
    """Return the loss of a batch and of its microbatches, in evaluation mode.

    `loss` is the job's, or one of several. Raises `NotApplicable`, or what the loss raises, where
    the batch can't be split.
    """
    split = job.split(batch, parts)
    sizes = [job.items(part) for part in split]
    whole, again, *each = (
        loss_without_training(job, one, loss, seed)
        for seed, one in enumerate([batch, batch, *split])
    )
    mean = sum(size * value for size, value in zip(sizes, each, strict=True)) / sum(sizes)
    return PartsOfLoss(whole, mean, abs(whole - again))
