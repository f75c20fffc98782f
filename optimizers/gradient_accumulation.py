"""Gradient accumulation: make one optimiser update from several smaller microbatches.

What:    each batch is split into microbatches; their gradients add up, weighted by their items,
         before one update.
Helps:   memory: activations of one microbatch at a time; a batch size that would not fit.
Hurts:   time, where a microbatch is too small to fill the device. Losses over pairs of a batch
         (contrastive ones) see fewer pairs, and batch norm sees smaller batches.
Effect:  learning (the same gradient only where the loss is a mean over independent items).
Source:  Goyal et al., Accurate, Large Minibatch SGD, 2017, section 3; PyTorch's AMP examples.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from bench.batches import Batch
from bench.errors import NotApplicable
from bench.job import Job, Mark, turns
from bench.technique import Effect, Probe, SettingsT, Stage, Technique


class GradientAccumulation(Technique):
    """Split every batch and add up the gradients."""

    name: ClassVar[str] = "gradient-accumulation"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.LEARNING

    microbatches: int = Field(2, ge=2, description="into how many parts a batch is split")

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Leave the settings as they are; refuse batches too small to split."""
        size = getattr(settings, "batch_size", None)
        if size is not None and size < self.microbatches:
            raise NotApplicable(
                f"a batch of {size} can't be split into {self.microbatches} microbatches"
            )
        return settings

    def apply(self, job: Job) -> Job:
        """Claim `step`."""
        return job.claim("step", self._step, by=self.name)

    def _step(self, job: Job, batch: Batch, optimizer: Optimizer, mark: Mark) -> Tensor:
        items, losses = job.items(batch), []
        for loss_of, own in turns(job, optimizer):
            for part in job.split(batch, self.microbatches):
                loss = loss_of(job.model, part) * (job.items(part) / items)
                mark("forward")
                job.backward(loss)
                mark("backward")
                losses.append(loss.detach())
            job.update(own)
            mark("update")
        return torch.stack(losses).sum()
