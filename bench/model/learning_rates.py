"""Read an optimizer's learning rates, and detect a baseline's own schedule of them."""

from __future__ import annotations

from torch.optim import Optimizer

from bench.job import Job, Progress
from bench.model.inner_optimizers import groups_of
from bench.random_state import undisturbed


def rates_of(optimizer: Optimizer) -> list[float]:
    """Return the learning rate of each group."""
    return [float(group["lr"]) for group in groups_of(optimizer)]


def own_change(job: Job) -> int | None:
    """Return the first epoch before which the baseline's own schedule changes a rate, if any."""
    if job.make_scheduler is not None:
        return 0
    if job.again is not None:  # in this job the schedule may already do what others put there
        with undisturbed(job.device):
            job = job.again({})
    optimizer = job.make_optimizer(job.model)
    before = rates_of(optimizer)
    for epoch in range(job.epochs):
        step = epoch * (job.epoch_steps or 1)
        progress = Progress(job.epochs, epoch, step, [1.0] * epoch, job.epoch_steps)
        job.schedule(optimizer, progress)
        if rates_of(optimizer) != before:
            return epoch
    return None
