"""Dynamic learning rate: warm up, then lower the rate with the progress of training.

What:    the learning rates of the baseline's optimizer are multiplied by a factor: a cosine down to
         `final`; one cycle, up from a 25th to `peak` and down; or halvings whenever the training
         loss stalls (plateau). Set before every step, or every epoch to what it is at its middle;
         how far training is follows from the items seen, of those that an epoch has.
Helps:   quality at the same epochs, or the same quality after fewer; larger peak rates.
Hurts:   a step costs the same; trainings that are cut short end at a rate that is still high.
Effect:  learning.
Source:  Loshchilov and Hutter, SGDR, ICLR 2017; Smith and Topin, Super-Convergence, 2018 (without
         its cycle of momentum); torch.optim.lr_scheduler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import Field
from torch.optim import Optimizer

from bench.baseline import marked
from bench.batches import Batch
from bench.data.plain_batches import ITEMS_OF, plain_batch
from bench.data.sampling import items_an_epoch
from bench.errors import NotApplicable
from bench.job import Batches, Job, Progress, Schedule
from bench.model.inner_optimizers import apart
from bench.model.learning_rates import own_change, rates_of
from bench.records.plain_loop import PlainLoop
from bench.technique import Effect, Part, Parts, Probe, SettingsT, Stage, Technique

FACTOR = '''
def rate_factor(done):
    """Return what rates are multiplied with when this share of the training is made."""
    if done < {warmup}:
        return {peak} * {rising}
    fallen = (done - {warmup}) / (1 - {warmup})
    return {peak} * ({final} + (1 - {final}) * (1 + math.cos(math.pi * fallen)) / 2)
'''
RISING = {
    "cosine": "(done / {warmup})",
    "onecycle": "(1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * (done / {warmup}))) / 2)",
}
SET = """
factor = rate_factor((epoch + min(seen / epoch_items, 1.0)) / job.epochs)
for group, rate in zip(optimizer.param_groups, first_rates):
    group["lr"] = factor * rate
seen += items_of(batch)
"""
FIRST = 1 / 25
"""Where one cycle begins, in peak rates, as in the paper."""
STALL = 1e-4  # the least relative fall of a loss that counts, as torch's plateau has it


class DynamicLR(Technique):
    """Schedule the learning rate."""

    name: ClassVar[str] = "dynamic-lr"
    stage: ClassVar[Stage] = Stage.SCHEDULE
    effect: ClassVar[Effect] = Effect.LEARNING
    touches: ClassVar[Parts | None] = Parts({Part.SCHEDULE})

    policy: Literal["cosine", "onecycle", "plateau"] = Field(
        "cosine", description="how the learning rate falls after its warm-up"
    )
    per: Literal["step", "epoch"] = Field("step", description="how often it is set")
    warmup: float = Field(
        0.05, ge=0, lt=1, description="share of the training in which the rate rises"
    )
    peak: float = Field(1.0, gt=0, description="highest rate, in the baseline's rates")
    final: float = Field(0.01, ge=0, lt=1, description="last rate, in peak rates; not of plateau")
    patience: int = Field(5, ge=0, description="plateau: epochs without a lower loss before a cut")
    cut: float = Field(0.5, gt=0, lt=1, description="plateau: what a rate is multiplied with")

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Turn the baseline's own schedule off, where a setting is marked as that."""
        return settings.model_copy(update=marked(settings, "own_schedule"))

    def apply(self, job: Job) -> Job:
        """Wrap `schedule` and `batches`; refuse a baseline that sets its rates itself."""
        if (epoch := own_change(job)) is not None:
            raise NotApplicable(
                f"the baseline sets its learning rate itself (it changes in epoch {epoch + 1}); "
                "two schedules would undo each other"
            )
        if inner := apart(job.make_optimizer(job.model)):
            raise NotApplicable(
                f"the baseline's optimizer lets another one step ({inner}), whose groups are not "
                "its own: no rate that is set would reach it; let it have param_groups of that one"
            )
        items = items_an_epoch(job) if self.per == "step" else 1
        rates = _Rates(self, job.items, items, steps=job.epoch_steps)
        job = job.wrap("schedule", rates.schedule, by=self.name)
        return job.wrap("batches", rates.batches, by=self.name)

    def write_loop(self, loop: PlainLoop, job: Job) -> None:
        """Set the rates before each batch from the share of the training that is made."""
        if self.policy == "plateau" or self.per == "epoch":
            raise NotApplicable(
                f"policy={self.policy}, per={self.per} is not written out: bench train trains "
                "with it"
            )
        plain_batch(job)
        numbers = {"warmup": self.warmup, "peak": self.peak, "final": self.final}
        loop.define(ITEMS_OF)
        loop.define(FACTOR.format(rising=RISING[self.policy].format(**numbers), **numbers))
        items = items_an_epoch(job)
        rates = 'first_rates = [group["lr"] for group in optimizer.param_groups]'
        loop.add("optimizer", f"{rates}\nseen, epoch_items = 0, {items}", by=self.name)
        loop.add("batch", SET, by=self.name)
        loop.add("epoch", "epoch_items, seen = max(seen, 1), 0", by=self.name)

    def factor(self, done: float, losses: Sequence[float]) -> float:
        """Return what rates are multiplied with when the share `done` of the training is made."""
        if done < self.warmup:
            risen = done / self.warmup
            if self.policy == "onecycle":
                return self.peak * (FIRST + (1 - FIRST) * (1 - math.cos(math.pi * risen)) / 2)
            return self.peak * risen
        if self.policy == "plateau":
            return self.peak * self.cut ** cuts(losses, self.patience)
        fallen = (done - self.warmup) / (1 - self.warmup)
        return self.peak * (self.final + (1 - self.final) * (1 + math.cos(math.pi * fallen)) / 2)


def cuts(losses: Sequence[float], patience: int) -> int:
    """Return how often the losses of epochs did not fall for more than `patience` of them."""
    best, stalled, found = math.inf, 0, 0
    for loss in losses:
        better = loss < best * (1 - STALL)
        best, stalled = (loss, 0) if better else (best, stalled + 1)
        if stalled > patience:
            stalled, found = 0, found + 1
    return found


@dataclass
class _Rates:
    """Sets the rates of the optimizer that is trained with, and sees that nobody else does."""

    rule: DynamicLR
    items: Callable[[Batch], int]
    epoch_items: int
    steps: int | None = None
    """Of an epoch."""
    optimizer: Optimizer | None = None
    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)

    def schedule(self, old: Schedule) -> Schedule:
        def schedule(optimizer: Optimizer, progress: Progress) -> None:
            if optimizer is not self.optimizer:
                self.optimizer, self.first = optimizer, rates_of(optimizer)
                self.last = self.first
            old(optimizer, progress)
            self._set(progress, 0)

        return schedule

    def batches(self, old: Batches) -> Batches:
        def batches(progress: Progress) -> Iterator[Batch]:
            seen = 0
            for batch in old(progress):
                if self.rule.per == "step":
                    self._set(progress, seen)
                items = self.items(batch)
                if not seen and progress.epoch == 0:
                    self._settle(items)
                seen += items
                yield batch
            if progress.epoch == 0 and self.rule.per == "step" and seen > 2 * self.epoch_items:
                raise NotApplicable(
                    f"the first epoch had {seen} items, and was to have {self.epoch_items}: its "
                    "rates came too early; give the job epoch_steps, or epoch_items"
                )
            self.epoch_items = max(seen, 1)  # where a last batch is dropped, or steps are capped

        return batches

    def _settle(self, items: int) -> None:
        """Count an epoch as its first batch is: in tokens, say, where the data has texts."""
        if self.steps and abs(items * self.steps - self.epoch_items) > items:
            self.epoch_items = items * self.steps

    def _set(self, progress: Progress, seen: int) -> None:
        assert self.optimizer is not None
        if rates_of(self.optimizer) != self.last:
            raise NotApplicable("the baseline changes its learning rate itself while it trains")
        within = min(seen / self.epoch_items, 1.0) if self.rule.per == "step" else 0.5
        done = (progress.epoch + within) / progress.total_epochs
        factor = self.rule.factor(done, progress.epoch_losses)
        self.last = [factor * rate for rate in self.first]
        for group, rate in zip(self.optimizer.param_groups, self.last, strict=True):
            group["lr"] = rate
