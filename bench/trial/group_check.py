"""Check that the steps of a group of processes are those of one, before anything is measured."""

from __future__ import annotations

import torch

from bench.errors import NotApplicable
from bench.job import Job, Progress
from bench.model.parts_of_loss import parts_of_loss
from bench.recipes import assembly
from bench.recipes.combination import effect_of, rounding_of
from bench.technique import Effect
from bench.trial.rehearsal import Rehearsed, rehearse, shortened
from bench.trial.spec import TrialSpec


def check_group(trial: TrialSpec, job: Job, found: Rehearsed) -> None:
    """Raise `NotApplicable` where a group's rehearsed steps are not those of one process.

    In each process the job is built once more, without what shares it out.
    """
    size = job.group.size
    if size == 1:
        return
    recipe = assembly.alone(trial.recipe, trial.places)

    def plain() -> Job:
        return assembly.build(recipe, trial.places, job.device, trial.seed, others=shortened)

    _check_weights(job)
    _check_loss(plain(), size)
    techniques = assembly.techniques_of(trial.recipe, trial.places)
    rounding = rounding_of(techniques)
    if rounding is None or effect_of(techniques) is not Effect.ROUNDING:
        return
    losses = job.group.mean(torch.stack(found.losses).float().cpu().double())
    expected = torch.stack(rehearse(plain()).losses).float().cpu().double()
    for step, (ours, one) in enumerate(zip(losses.tolist(), expected.tolist(), strict=False), 1):
        if abs(ours - one) > rounding * max(abs(ours), abs(one)):
            raise NotApplicable(
                f"the loss of {size} processes is {ours:.6g} instead of {one:.6g} at step {step}"
            )


def _check_weights(job: Job) -> None:
    """Raise `NotApplicable` where processes that have made the same steps hold other weights."""
    weights = [parameter.detach() for parameter in job.snapshot(job.model).parameters()]
    real = (torch.view_as_real(one) if one.is_complex() else one for one in weights)
    if not job.group.same(float(sum(one.double().sum() for one in real))):
        raise NotApplicable(
            f"after the same steps {job.group.size} processes hold unlike weights: what trains "
            "doesn't go by the job's loss and backward alone"
        )


def _check_loss(job: Job, size: int) -> None:
    """Raise `NotApplicable` where a batch's loss is not the mean of its shares'."""
    batch = next(iter(job.batches(Progress(job.epochs, epoch_steps=job.epoch_steps))))
    parts = [part for part in job.split(batch, size) if job.items(part)]
    told = parts_of_loss(job, batch, parts)
    if not told.is_mean:
        raise NotApplicable(
            f"the loss of a batch, {told.whole:.5g}, is not the mean of its {len(parts)} shares' "
            f"by their items, {told.mean:.5g}: it needs the whole batch (pairs of its items, say), "
            "or is no mean over items"
        )
