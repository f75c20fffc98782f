"""Time the deployed model's forward passes in eval mode; all times are kept."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

import torch
from torch import nn

from bench.batches import Inputs
from bench.data.layout import items_held
from bench.errors import NotApplicable
from bench.job import Job
from bench.model.calls import ask
from bench.model.copies import copied
from bench.records.measurement import Inference

WARMUP = 3
LEAST_PASSES = 2
MOST_SECONDS = 0.5
MOST_PASSES = 50
BATCHES = (1, 32)


def measure_inference(job: Job, model: nn.Module) -> tuple[Inference, ...]:
    """Time single items and batches of 32, for half a second, or two passes that take more.

    There may be fewer items: how many the inputs held is recorded. Warm-up is three passes, or one
    that takes longer than that. Each size is timed on a copy that has seen no other, as one who
    serves that size would run it: oneDNN's 8-bit convolutions keep what they prepared for the first
    shape that they see, and prepare any other in every call.
    """
    model.eval()
    inputs = one, many = job.sample(BATCHES[0]), job.sample(BATCHES[1])
    held = items_held(one, many, BATCHES[1])
    return tuple(
        _measured(job, model, given, items, asked)
        for items, asked, given in zip(held, BATCHES, inputs, strict=True)
    )


def _copied(model: nn.Module) -> tuple[nn.Module, bool]:
    """Return a copy and True; where something in it can't be copied, the model itself and False."""
    try:
        return copied(model), True
    except NotApplicable:
        return model, False


def _measured(job: Job, model: nn.Module, inputs: Inputs, items: int, asked: int) -> Inference:
    given, fresh = _copied(model)
    with _without_gradients(given):
        seconds = _timed(job, given, inputs)
    return Inference(items=items, asked=asked, seconds=seconds, fresh=fresh)


def _without_gradients(model: nn.Module) -> AbstractContextManager[object]:
    """Return what a model answers in fastest; a scripted one, once it was trained, can't there."""
    scripted = any(isinstance(part, torch.jit.ScriptModule) for part in model.modules())
    return torch.no_grad() if scripted else torch.inference_mode()


def _timed(job: Job, model: nn.Module, inputs: Inputs) -> tuple[float, ...]:
    def timed() -> float:
        _settle(job.device)
        begun = time.perf_counter()
        ask(model, inputs)
        _settle(job.device)
        return time.perf_counter() - begun

    warming = 0.0
    for _ in range(WARMUP):
        warming += timed()
        if warming > MOST_SECONDS:
            break
    seconds: list[float] = []
    while len(seconds) < LEAST_PASSES or (
        sum(seconds) < MOST_SECONDS and len(seconds) < MOST_PASSES
    ):
        seconds.append(timed())
    return tuple(seconds)


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
