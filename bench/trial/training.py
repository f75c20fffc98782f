"""Train: the one loop, for measured trials and for `bench train` alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from bench.errors import BenchError, Diverged, NotApplicable
from bench.group import Group
from bench.job import Job, Progress
from bench.model.train_mode import modes_kept
from bench.random_state import undisturbed
from bench.records.measurement import Evaluation
from bench.trial.scheduling import Rates, optimizer_of
from bench.trial.timing import Clock, Timeline


@dataclass(frozen=True, slots=True)
class StepLimit:
    """How long a step trial goes on: at least `steps` and `seconds`, at most `most_steps`.

    It ends with the training itself, if that is shorter.
    """

    steps: int = 15
    seconds: float = 3.0
    most_steps: int = 200

    @classmethod
    def of(cls, least: int | None) -> StepLimit:
        """Return the limit of a trial that makes at least so many steps; None: the usual."""
        return cls() if least is None else cls(steps=least)


@dataclass
class Trained:
    """What training gave: the deployed model and the facts on the way."""

    progress: Progress
    model: nn.Module
    rates: Rates
    losses: list[float] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    timeline: Timeline = field(default_factory=Timeline)
    evaluate_seconds: float = 0.0
    finish_seconds: float = 0.0
    finish_updates: int = 0
    """Of optimizers, in `Job.finish`."""
    found: Mapping[str, float] = field(default_factory=dict)
    """What the last evaluation gave, as it gave it."""


class Checkpointer(Protocol):
    """What keeps a training's whole state on disk, to go on after it was killed."""

    def begin(self, job: Job, optimizer: Optimizer, result: Trained) -> bool:
        """Restore what was kept, if asked to; return whether all epochs were over."""

    def keep(self, over: bool) -> None:
        """Keep everything, after an epoch; `over`: it was the last."""


def train(
    job: Job,
    limit: StepLimit | None = None,
    on_epoch: Callable[[Progress], None] | None = None,
    on_trained: Callable[[], None] | None = None,
    keeper: Checkpointer | None = None,
    on_first_step: Callable[[], None] | None = None,
) -> Trained:
    """Train to the end and evaluate, or, with a `limit`, only step.

    `on_first_step` and, after every epoch, `on_epoch` are called with the clock paused;
    `on_trained` once the training is finished, before its last evaluation needs memory. Raises
    `Diverged` when a loss is not finite.
    """
    clock = Clock(job.device)
    progress = Progress(job.epochs, epoch_steps=job.epoch_steps)
    optimizer = optimizer_of(job)
    rates = Rates.of(job, optimizer, progress)
    result = Trained(progress, job.model, rates, timeline=clock.timeline)
    done = keeper.begin(job, optimizer, result) if keeper else False
    while not done and result.progress.epoch < job.epochs:
        done = _epoch(job, optimizer, result, clock, limit, on_first_step)
        if on_epoch:
            on_epoch(result.progress)
        # a step trial only steps: metrics at unlike steps would not compare
        if not (done or limit) and _is_due(job, result.progress):
            _evaluate(job, job.snapshot(job.model), result)
        if keeper:
            keeper.keep(done)
    if not limit:
        _finish(job, result)
    if on_trained:
        on_trained()
    if not limit:
        _evaluate(job, result.model, result)
    return result


def _is_due(job: Job, progress: Progress) -> bool:
    return bool(job.evaluate_every) and progress.epoch % job.evaluate_every == 0


def _epoch(
    job: Job, optimizer: Optimizer, result: Trained, clock: Clock, limit: StepLimit | None,
    on_first_step: Callable[[], None] | None,
) -> bool:  # fmt: skip
    """Run one epoch; tell whether training is over."""
    progress, losses, rates = result.progress, list[Tensor](), result.rates
    job.model.train()
    clock.resume()
    job.schedule(optimizer, progress)
    clock.mark("schedule")
    full = False
    begun = time.perf_counter() - clock.timeline.seconds
    for batch in job.batches(progress):
        clock.mark("data_wait")
        losses.append(job.step(job, batch, optimizer, clock.mark))
        rates.after_update()
        clock.end_step(job.items(batch))
        progress.step += 1
        if on_first_step and progress.step == 1:
            clock.pause("data_wait")
            on_first_step()
            clock.resume()
        if limit and _reached(limit, progress.step, time.perf_counter() - begun, job.group):
            full = True
            break
    clock.pause("data_wait")
    _check_batches(job, progress, len(losses))
    _close_epoch(job, result, losses)
    if full:
        return True
    _check_steps(job, len(losses))
    rates.after_epoch(progress)
    if limit:
        return False
    clock.resume()
    stop = job.group.agreed(job.stop(job, progress))
    clock.pause("stop")
    return stop


def _reached(limit: StepLimit, steps: int, seconds: float, group: Group) -> bool:
    """Tell whether a step trial is over; a group asks its first process, and that not often."""
    enough = (steps >= limit.steps and seconds >= limit.seconds) or steps >= limit.most_steps
    return enough if group.size == 1 else steps % limit.steps == 0 and group.agreed(enough)


def _close_epoch(job: Job, result: Trained, losses: list[Tensor]) -> None:
    progress = result.progress
    found = torch.stack(losses).reshape(len(losses))  # one number each, of whatever shape
    values: list[float] = job.group.mean(found.float().cpu().double()).tolist()
    for index, value in enumerate(values):
        if not math.isfinite(value):
            step = len(result.losses) + index + 1
            raise Diverged(f"the loss was {value} at step {step} (epoch {progress.epoch + 1})")
    result.losses += values
    progress.epoch_losses.append(sum(values) / len(values))
    progress.epoch += 1


def _check_batches(job: Job, progress: Progress, made: int) -> None:
    """Raise `BenchError` for an epoch without a batch."""
    if made:
        return
    said = f"batches gave none in epoch {progress.epoch + 1}"
    if by := job.taken.get("batches"):
        raise NotApplicable(f"{said}: {' and '.join(by)} changes them")
    if progress.epoch == 0:
        raise BenchError(
            f"{said}: there is no item, or a batch holds more than there are and the last one, "
            "which is not full, is left out (drop_last)"
        )
    raise BenchError(
        f"{said}: what it returns is drawn from anew in every epoch, as a DataLoader is, and is no "
        "iterator that is used up"
    )


def _check_steps(job: Job, made: int) -> None:
    """Raise `BenchError` where an epoch was not as long as a schedule was told."""
    if job.epoch_steps is None or made == job.epoch_steps:
        return
    said = f"an epoch had {made} updates, and the job says epoch_steps={job.epoch_steps}"
    if by := job.taken.get("batches"):
        raise NotApplicable(f"{said}: {' and '.join(by)} changes its batches")
    raise BenchError(f"{said}; a schedule of its total_steps would end at another place")


def _finish(job: Job, result: Trained) -> None:
    begun = time.perf_counter()
    with _updates(result):
        result.model = job.finish(job, job.snapshot(job.model))
    result.finish_seconds = time.perf_counter() - begun


@contextmanager
def _updates(result: Trained) -> Iterator[None]:
    """Count the updates that any optimizer makes meanwhile."""

    def count(*_: object) -> None:
        result.finish_updates += 1

    handle = register_optimizer_step_post_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _evaluate(job: Job, model: nn.Module, result: Trained) -> None:
    begun = time.perf_counter()
    progress = result.progress
    with undisturbed(job.device), modes_kept(job.model):
        result.found = job.evaluate(model)
        values = {k: float(v) for k, v in result.found.items() if math.isfinite(v)}
    result.evaluations = [e for e in result.evaluations if e.step != progress.step]
    result.evaluations.append(
        Evaluation(
            epoch=progress.epoch,
            step=progress.step,
            train_seconds=result.timeline.seconds,
            values=values,
        )
    )
    result.evaluate_seconds += time.perf_counter() - begun
