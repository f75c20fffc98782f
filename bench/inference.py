"""Latency and throughput of the deployed model: forward passes in eval mode, all times kept."""

from __future__ import annotations

import time

import torch
from torch import nn

from bench.job import Job
from bench.measurement import Inference

WARMUP = 3
MOST_SECONDS = 0.5
MOST_PASSES = 50
BATCHES = (1, 32)


def measure_inference(job: Job, model: nn.Module) -> tuple[Inference, ...]:
    """Time single items and batches of 32, for at most half a second each (at least 5 passes)."""
    model.eval()
    with torch.inference_mode():
        return tuple(_time_batch(job, model, items) for items in BATCHES)


def _time_batch(job: Job, model: nn.Module, items: int) -> Inference:
    inputs = job.sample(items)
    for _ in range(WARMUP):
        model(*inputs)
    seconds: list[float] = []
    while len(seconds) < 5 or (sum(seconds) < MOST_SECONDS and len(seconds) < MOST_PASSES):
        _settle(job.device)
        begun = time.perf_counter()
        model(*inputs)
        _settle(job.device)
        seconds.append(time.perf_counter() - begun)
    return Inference(items=items, seconds=tuple(seconds))


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
