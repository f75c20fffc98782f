"""The optimizer that a job trains with, and the scheduler of its rates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from bench.errors import BenchError
from bench.job import Job, Progress
from bench.turns import parts_of


def optimizer_of(job: Job) -> Optimizer:
    """Make a job's optimizer; gradients are clipped in whatever steps, once they are unscaled."""
    optimizer = job.make_optimizer(job.model)
    if not isinstance(optimizer, Optimizer) and not callable(getattr(optimizer, "step", None)):
        raise BenchError(
            f"make_optimizer gave a {type(optimizer).__name__}; it makes one optimizer, and "
            "several that take turns are made by bench.turns.in_turns"
        )
    if job.clip is not None:
        for one in parts_of(optimizer):
            one.register_step_pre_hook(_Clip(job.clip))
    return optimizer


@dataclass(frozen=True)
class _Clip:
    """Scales gradients whose norm, over all that an optimizer trains, is above the largest."""

    largest: float

    def __call__(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        weights = [p for group in optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(weights, self.largest)


@dataclass
class Rates:
    """What a job's scheduler makes of the rates while it trains; nothing, where it has none."""

    scheduler: LRScheduler | None
    each_update: bool

    @classmethod
    def of(cls, job: Job, optimizer: Optimizer, progress: Progress) -> Rates:
        """Make the job's scheduler for the optimizer that trains."""
        made = job.make_scheduler(optimizer, progress) if job.make_scheduler else None
        return cls(made, job.scheduler_steps == "update")

    def after_update(self) -> None:
        """Go on by an update, whether or not it was skipped for gradients that overflowed."""
        if self.scheduler is not None and self.each_update:
            self.scheduler.step()

    def after_epoch(self, progress: Progress) -> None:
        """Go on by an epoch; a scheduler that waits for plateaus is told the training loss."""
        if self.scheduler is None or self.each_update:
            return
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(progress.epoch_losses[-1])
        else:
            self.scheduler.step()

    def state(self) -> dict[str, object] | None:
        """Return the scheduler's state, to be kept."""
        return self.scheduler.state_dict() if self.scheduler else None

    def put_back(self, state: dict[str, object] | None) -> None:
        """Go on from a state that was kept."""
        if self.scheduler is not None and state is not None:
            self.scheduler.load_state_dict(state)
