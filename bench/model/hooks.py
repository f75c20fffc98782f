"""Record a module's calls and outputs with forward hooks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from bench.batches import Batch, Outputs
from bench.errors import NotApplicable
from bench.job import Job, Progress
from bench.model.calls import Call

UNHEARD = (
    "the loss never calls the forward of the model that it is given; it may call a method of it, "
    "or a model from around it"
)


@dataclass
class Calls:
    """The calls of a model's forward, in order."""

    calls: list[Call] = field(default_factory=list)
    answers: list[Outputs] = field(default_factory=list)
    inside: list[Batch] = field(default_factory=list)
    """The first argument of a part's forward."""


@contextmanager
def listening(model: nn.Module, part: nn.Module | None = None) -> Iterator[Calls]:
    """Collect the calls of a model, and of a `part` of it, until the end of the context.

    Raises `NotApplicable` for a ScriptModule, whose calls can't be listened to.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise NotApplicable("the model is a ScriptModule, whose calls can't be listened to")
    heard = Calls()

    def ask(_: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        heard.calls.append((args, kwargs))

    def answer(_: nn.Module, args: object, output: Outputs) -> None:
        heard.answers.append(output)

    def look(_: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        heard.inside.append(args[0] if args else next(iter(kwargs.values())))

    hooks = [
        model.register_forward_pre_hook(ask, with_kwargs=True),
        model.register_forward_hook(answer),
    ]
    if part is not None:
        hooks.append(part.register_forward_pre_hook(look, with_kwargs=True))
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def calls_in_training(job: Job, model: nn.Module, batches: int) -> list[Call]:
    """Return what a model is called with, in evaluation mode, in the loss of training batches.

    Raises `NotApplicable` where the loss calls something else.
    """
    progress = Progress(job.epochs, epoch_steps=job.epoch_steps)
    with torch.no_grad(), listening(model.eval()) as heard:
        for batch in itertools.islice(job.batches(progress), batches):
            job.loss(model, batch)
    if not heard.calls:
        raise NotApplicable(UNHEARD)
    return heard.calls
