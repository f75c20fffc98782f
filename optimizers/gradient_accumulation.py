"""Gradient accumulation: make one optimiser update from several smaller microbatches.

What:    each batch is split into microbatches; their gradients add up, weighted by their items,
         before one update.
Helps:   memory: activations of one microbatch at a time; a batch size that would not fit.
Hurts:   time, where a microbatch is too small to fill the device. Losses over pairs of a batch
         (contrastive ones) see fewer pairs, and batch norm sees smaller batches.
Effect:  learning (the same gradient only where the loss is a mean, or a sum, over independent
         items: the first steps compare a batch's loss with its parts').
Source:  Goyal et al., Accurate, Large Minibatch SGD, 2017, section 3; PyTorch's AMP examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.batches import Batch
from bench.data.plain_batches import ITEMS_OF, MICROBATCHES, plain_batch
from bench.errors import NotApplicable
from bench.job import Job, Loss, Mark, turns
from bench.model.batch_norm import has_batch_norm
from bench.model.parts_of_loss import adds_up, parts_of_loss
from bench.records.plain_loop import PlainLoop
from bench.technique import Effect, Probe, SettingsT, Stage, Technique

LOOKS = 3
"""First steps, in which losses are compared: in the very first all items may have a label."""


class GradientAccumulation(Technique):
    """Split every batch and add up the gradients."""

    name: ClassVar[str] = "gradient-accumulation"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.LEARNING

    microbatches: int = Field(
        2, ge=2, description="into how many parts a batch is split",
        json_schema_extra={"range": [2, 4, 8]},
    )  # fmt: skip

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
        return job.claim("step", _Accumulated(self.microbatches).step, by=self.name)

    def write_loop(self, loop: PlainLoop, job: Job) -> None:
        """Train each batch in parts; a mean over items counts a part by what it holds."""
        batch, least = plain_batch(job), 2 if has_batch_norm(job.model) else 1
        parts = job.split(batch, self.microbatches)
        loop.define(ITEMS_OF)
        loop.define(MICROBATCHES)
        loop.parts = f"microbatches(batch, {self.microbatches}, least={least})"
        if not sums_up(job, job.loss, batch, parts):
            loop.share = "items_of(part) / items_of(batch)"


@dataclass
class _Accumulated:
    """A step in parts; the first few see what the loss of a batch is of those of its parts."""

    microbatches: int
    summed: tuple[bool, ...] = ()
    """Whether each loss of a step is a sum over items; empty before the first step."""

    looks: int = 0
    """Steps whose batches were looked at."""

    not_remembered: ClassVar[frozenset[str]] = frozenset({"summed", "looks"})

    def step(self, job: Job, batch: Batch, optimizer: Optimizer, mark: Mark) -> Tensor:
        parts, losses = self._split(job, batch), []
        if not self.summed and len(parts) == 1:
            raise NotApplicable(
                f"a batch of {job.items(batch)} items is not split: batch norm needs two in a part"
                if job.items(batch) > 1
                else "a batch of one item can't be split"
            )
        items = sum(job.items(part) for part in parts)
        for turn, (loss_of, own) in enumerate(turns(job, optimizer)):
            if (first := len(self.summed) == turn) or self.looks < LOOKS:
                self._look(turn, job, loss_of, batch, parts)
                mark("forward")
            with _unmoved(job.model) if first else nullcontext():
                for part in parts:
                    share = 1.0 if self.summed[turn] else job.items(part) / items
                    loss = loss_of(job.model, part) * share
                    mark("forward")
                    job.backward(loss)
                    mark("backward")
                    losses.append(loss.detach())
            job.update(own)
            mark("update")
        self.looks += 1
        return torch.stack(losses).sum()

    def _look(
        self, turn: int, job: Job, loss_of: Loss, batch: Batch, parts: list[Batch]
    ) -> None:  # fmt: skip
        """Compare a batch's loss with its parts'; it is to be the same of them in each batch."""
        if len(parts) == 1:
            return
        found = sums_up(job, loss_of, batch, parts)
        if len(self.summed) == turn:
            self.summed += (found,)
        elif self.summed[turn] != found:
            raise NotApplicable(
                "the loss of one batch is the mean of its parts', of another the sum"
            )

    def _split(self, job: Job, batch: Batch) -> list[Batch]:
        """Return the parts that hold items; batch norm gets no part of one item of several."""
        least = 2 if job.items(batch) > 1 and has_batch_norm(job.model) else 1
        for count in range(self.microbatches, 1, -1):
            parts = [part for part in job.split(batch, count) if job.items(part)]
            if parts and all(job.items(part) >= least for part in parts):
                return parts
        return [batch]


@contextmanager
def _unmoved(model: nn.Module) -> Iterator[None]:
    """Raise `NotApplicable` where weights change before the gradients of all parts are there."""
    before = [weight._version for weight in model.parameters()]
    yield
    if [weight._version for weight in model.parameters()] != before:
        raise NotApplicable(
            "the weights change while gradients are computed (a hook that steps, say), so that a "
            "batch in parts would change them several times"
        )


def sums_up(job: Job, loss_of: Loss, batch: Batch, parts: list[Batch]) -> bool:
    """Return whether a batch's loss is the sum of its parts', and not their mean by items.

    Raises `NotApplicable` for a mean with other weights, such as one over tokens or labelled items.
    """
    found = parts_of_loss(job, batch, parts, loss_of)
    if found.is_mean or found.is_sum:
        return not found.is_mean
    if found.is_of_pairs and not adds_up(job, batch, loss_of):
        return False
    if found.is_of_pairs:
        raise NotApplicable(
            f"the loss of a batch, {found.whole:.5g}, adds up over its items, but is neither the "
            f"mean of its {len(parts)} parts', {found.mean:.5g}, nor their sum, "
            f"{sum(found.parts):.5g}: divide it by its items, penalties of weights aside"
        )
    raise NotApplicable(
        f"the loss of a batch, {found.whole:.5g}, is not the mean of its {len(parts)} parts' by "
        f"their items, {found.mean:.5g}; where it is a mean over tokens, or over those with a "
        "label, give the job `items`, which counts them"
    )
