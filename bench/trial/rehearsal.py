"""Rehearse a training: a few real steps, in a process of its own, before anything is measured.

What fails here would have failed in every trial; a part or module of a technique that no step calls
here would have changed nothing, and been judged.
"""

from __future__ import annotations

import itertools
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim import Optimizer

from bench.batches import Batch
from bench.errors import BenchError, NotApplicable
from bench.job import Job, Progress
from bench.machine.memory import is_out_of_memory
from bench.model.calls import ask
from bench.model.outputs import objection
from bench.random_state import undisturbed
from bench.recipes import assembly
from bench.recipes.loading import described
from bench.technique import Effect, Stage, Technique
from bench.trial.counted_items import check_items
from bench.trial.evaluated import check_metric
from bench.trial.scheduling import Rates, optimizer_of
from bench.trial.spec import TrialSpec

Given = ParamSpec("Given")
Made = TypeVar("Made")
BATCHES = 2  # steps of an epoch that is rehearsed
CALLED = ("loss", "item_losses", "backward", "update", "step")
"""Parts that a technique replaces in vain where no step calls them."""
DEPLOYED = frozenset({"finish", "snapshot", "evaluate"})
"""Parts that make another model of the trained one, or ask it otherwise."""
MANY = 32  # items that a deployed model is asked for at once
ONWARD = frozenset({"schedule", "batches", "step", "items"})
"""A technique that replaces one of these may do another thing in the last epoch."""


@dataclass
class Rehearsed:
    """What was seen of the steps."""

    losses: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    """A sum over each weight's gradient, after each backward pass that the job made."""
    seconds: list[float] = field(default_factory=list)
    """That each step took, the wait for its batch included."""
    called: set[str] = field(default_factory=set)
    """Parts of the job, and techniques of whose modules one was called."""

    def same(self, other: Rehearsed) -> bool:
        """Tell whether losses and gradients are those of another rehearsal, bit for bit."""
        ours, theirs = (one.losses + one.gradients for one in (self, other))
        return len(ours) == len(theirs) and all(map(_equal, ours, theirs))


def rehearse_trial(trial: TrialSpec, techniques: Sequence[Technique], job: Job) -> Rehearsed:
    """Rehearse a trial's job, and, where a technique is to change no step, those without it.

    Raises `NotApplicable` where a step fails in what is not a technique's own code.
    """
    with attributed(techniques, "a rehearsed step failed"):
        found = rehearse(job)
        if not job.taken or DEPLOYED & job.taken.keys():
            check_metric(deployed(job), trial.metric, trial.bounds)
    exact = [technique.name for technique in techniques if technique.effect is Effect.EXACT]

    def build(whole: bool) -> Job:
        only = None if whole else frozenset(Effect) - {Effect.EXACT}
        return assembly.build(
            trial.recipe, trial.places, job.device, trial.seed, only, others=shortened
        )

    if exact:
        check_exact(found, build, " and ".join(exact))
    return found


@contextmanager
def attributed(techniques: Sequence[Technique], what: str) -> Iterator[None]:
    """Say `NotApplicable` of what fails under techniques, but not in their own code.

    The baseline was rehearsed before: it is what they made of it. Memory that is short is left to
    the trials to tell.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        if not techniques or is_out_of_memory(error) or _is_theirs(error, techniques):
            raise
        raise NotApplicable(f"{what}: {described(error)}") from error


def deployed(job: Job) -> Mapping[str, float]:
    """Finish a rehearsed training; return the metrics.

    The model is asked for an item and for many, where what was trained takes such samples at all:
    how fast it answers only advises. Raises `NotApplicable` where another model is evaluated.
    """
    with torch.compiler.set_stance("force_eager"), undisturbed(job.device):
        model = job.finish(job, job.snapshot(job.model)).eval()
        if objection(job, job.sample(1)) is None:
            with torch.no_grad():
                for items in (1, MANY):
                    ask(model, job.sample(items))
        with _asked() as asked:
            found = job.evaluate(model)
    trained = {*job.model.modules()}
    if (changed := {*model.modules()} - trained) and trained & asked and not changed & asked:
        raise NotApplicable(
            "evaluate asks the model that was trained, which it holds, and not the one that it is "
            "given and that would be deployed; let evaluate(model) call model(...)"
        )
    return found


@contextmanager
def _asked() -> Iterator[set[nn.Module]]:
    """Note which modules are called."""
    asked = set[nn.Module]()
    handle = register_module_forward_pre_hook(lambda module, args: asked.add(module))
    try:
        yield asked
    finally:
        handle.remove()


def check_compiled(techniques: Iterable[Technique], compiled: bool) -> None:
    """Raise `NotApplicable` where a technique was to compile, and nothing was."""
    for technique in techniques:
        if technique.stage is Stage.COMPILE and not compiled:
            raise NotApplicable("nothing of a step was compiled")


def _is_theirs(error: Exception, techniques: Iterable[Technique]) -> bool:
    """Tell whether a technique's own code raised, and not what it was given or torch for that."""
    files = {sys.modules[type(technique).__module__].__file__ for technique in techniques}
    libraries = Path(torch.__file__).parents[1], Path(__file__).parents[1]
    places = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    ours = [p for p in places if p in files or not any(map(Path(p).is_relative_to, libraries))]
    return bool(ours) and ours[-1] in files


def rehearse(job: Job) -> Rehearsed:
    """Make some steps of the first epoch, and of the last where techniques may change it.

    Nothing is compiled: a compiled model runs as it is written. Raises `NotApplicable` where a
    technique replaced what no step calls.
    """
    found = Rehearsed()
    watched = _watched(job, found)
    epochs = {0, job.epochs - 1} if ONWARD & job.taken.keys() else {0}
    with torch.compiler.set_stance("force_eager"), _noting(job, found):
        progress = Progress(job.epochs, epoch_steps=job.epoch_steps)
        optimizer = optimizer_of(job)
        rates = Rates.of(job, optimizer, progress)
        for epoch in sorted(epochs):
            progress.epoch, progress.epoch_losses = epoch, [1.0] * epoch
            for loss, seconds in _steps(watched, optimizer, rates, progress):
                found.losses.append(loss)
                found.seconds.append(seconds)
    _check_called(job, found.called)
    return found


def check_exact(with_it: Rehearsed, build: Callable[[bool], Job], names: str) -> None:
    """Raise `NotApplicable` where steps with exact techniques are not those without, bit for bit.

    `build` makes the job again, with or without them. Where equal jobs make unequal steps, nothing
    can be told.
    """
    without = rehearse(build(False))
    if with_it.same(without):
        return
    if with_it.same(rehearse(build(True))) and without.same(rehearse(build(False))):
        losses = zip(with_it.losses, without.losses, strict=False)
        unequal = (f"the loss is {float(a)!r} instead of {float(b)!r} at step {step}"
                   for step, (a, b) in enumerate(losses, 1) if not _equal(a, b))  # fmt: skip
        raise NotApplicable(
            f"{names} changes no step elsewhere, but here "
            + next(unequal, "gradients differ from those without it")
        )


def shortened(job: Job) -> Job:
    """Return a job of one epoch of few steps: a teacher, say, of a job that is rehearsed."""

    def batches(progress: Progress) -> Iterable[Batch]:
        return itertools.islice(job.batches(progress), BATCHES)

    steps = None if job.epoch_steps is None else min(BATCHES, job.epoch_steps)
    return replace(job, epochs=1, batches=batches, epoch_steps=steps, evaluate_every=0)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(torch.equal(one.nan_to_num(), other.nan_to_num()))


def _steps(
    job: Job, optimizer: Optimizer, rates: Rates, progress: Progress
) -> Iterator[tuple[Tensor, float]]:
    """Yield the loss of each step, and its seconds."""
    job.model.train()
    job.schedule(optimizer, progress)
    begun = perf_counter()
    for batch in itertools.islice(job.batches(progress), BATCHES):
        loss = job.step(job, batch, optimizer, lambda phase: None).clone()
        if job.device.type == "cuda":
            torch.cuda.synchronize(job.device)
        yield loss, perf_counter() - begun
        begun = perf_counter()
        check_items(job.items(batch))
        rates.after_update()
        progress.step += 1


def _watched(job: Job, found: Rehearsed) -> Job:
    """Return the job whose parts note that they were called, and what gradients they made."""

    def noting(part: str, old: Callable[Given, Made]) -> Callable[Given, Made]:
        def call(*args: Given.args, **kwargs: Given.kwargs) -> Made:
            found.called.add(part)
            made = old(*args, **kwargs)
            if part == "loss" and not job.taken:
                _check_loss(made)
            if part == "backward":
                grads = [p.grad for p in job.model.parameters() if p.grad is not None]
                found.gradients += [torch.stack([*map(_sum, grads)])] if grads else []
            return made

        return call

    changes: dict[str, Any] = {p: noting(p, old) for p in CALLED if (old := getattr(job, p))}
    if job.losses:
        changes["losses"] = {name: noting("loss", one) for name, one in job.losses.items()}
    return replace(job, **changes)


def _sum(gradient: Tensor) -> Tensor:
    parts = torch.view_as_real(gradient) if gradient.is_complex() else gradient
    return parts.double().sum()


def _check_loss(found: object) -> None:
    """Raise `BenchError` where a baseline's loss is no scalar that can be followed backwards."""
    if not isinstance(found, Tensor):
        raise BenchError(f"loss gave a {type(found).__name__}; it gives a tensor of one number")
    if found.numel() != 1:
        raise BenchError(f"loss gave the shape {tuple(found.shape)}; it gives one number: a mean")
    if torch.is_grad_enabled() and not found.requires_grad:
        raise BenchError("loss gave a tensor without a gradient: detached, or of no_grad")


@contextmanager
def _noting(job: Job, found: Rehearsed) -> Iterator[None]:
    """Note the techniques of whose modules one is called."""

    def noting(by: str) -> Callable[..., None]:
        return lambda *call: found.called.add(by)

    hooks = [
        module.register_forward_pre_hook(noting(by))
        for by, modules in job.relies_on.items()
        for module in modules
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _check_called(job: Job, called: set[str]) -> None:
    for by in job.relies_on:
        if by not in called:
            raise NotApplicable(
                f"no step calls what {by} changes of the model: the loss may call a method of it, "
                "or a model from around it; let loss(model, batch) call model(...)"
            )
    for by in dict.fromkeys(name for names in job.taken.values() for name in names):
        parts = [part for part in CALLED if by in job.taken.get(part, ())]
        if parts and not called & {*parts}:
            raise NotApplicable(
                f"no step calls the job's {' or '.join(parts)}, which {by} changes: the baseline "
                "has a step of its own"
            )
