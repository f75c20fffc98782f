"""Our training step against the straightforward one, block by block in turns.

Run: ``python -m tests.benchmarks.bench_timehut_step --data-dir D [--dataset NAME ...]``.
CPU seconds (all threads), not wall time; both arms see the same batches and the same crops. Each
arm has a process of its own, as trainings do: in one process the many shapes of the straightforward
one push our kernels out of oneDNN's cache, at 15 % of our step's time on Coffee.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.timehut import TimeHUT, TimeHUTSettings
from baselines.timehut.crops import Crop, cut, draw_crop
from baselines.timehut.losses import hierarchical_loss
from baselines.timehut.training import loss_settings
from bench.job import Job, Progress
from tests.reference.timehut import ReferenceTraining

TAU = 0.5
Draw = tuple[Tensor, Crop]


def build(name: str, data_dir: Path | None) -> tuple[Job, ReferenceTraining, TimeHUTSettings]:
    """Return our job and the reference, with the same weights."""
    settings = TimeHUTSettings(dataset=name, data_dir=data_dir)
    torch.manual_seed(0)
    job = TimeHUT().job(settings, torch.device("cpu"), 0)
    x = next(iter(job.batches(Progress(1))))
    return job, ReferenceTraining(x.shape[2], settings, job.model), settings


def draws(job: Job, count: int, seed: int) -> list[Draw]:
    """Return `count` batches with a crop each."""
    random = torch.Generator().manual_seed(seed)
    batches: list[Tensor] = []
    while len(batches) < count:
        batches += list(job.batches(Progress(1)))
    return [(x, draw_crop(x.shape[0], x.shape[1], random)) for x in batches[:count]]


def ours(job: Job, settings: TimeHUTSettings) -> Callable[[Tensor, Crop], float]:
    """Return our step for a given crop: what the job does, but for drawing the crop."""
    optimizer = job.make_optimizer(job.model)
    constants = loss_settings(settings)

    def step(x: Tensor, crop: Crop) -> float:
        pair, views = cut(x, crop)
        loss = hierarchical_loss(views.common(job.model(pair, views)), TAU, constants)
        job.backward(loss)
        job.update(optimizer)
        return float(loss.detach())

    return step


def disagreement(
    job: Job, reference: ReferenceTraining, settings: TimeHUTSettings, sample: list[Draw]
) -> float:
    """Return the largest relative difference of the losses in float64, same crops and masks."""
    job.model.double().eval()
    reference.encoder.double().eval()
    worst = 0.0
    for x, crop in sample:
        pair, views = cut(x.double(), crop)
        mask = torch.rand(pair.shape[:2]) < 0.5
        first, second = mask.chunk(2)
        masks = (first[:, : views.lengths[0]], second[:, : views.lengths[1]])
        with torch.no_grad():
            z = views.common(job.model(pair, views, mask))
            a = float(hierarchical_loss(z, TAU, loss_settings(settings)))
            b = float(reference.loss(x.double(), crop, TAU, masks))
        worst = max(worst, abs(a - b) / abs(b))
    job.model.float().train()
    reference.encoder.float().train()
    return worst


def cpu_ms(step: Callable[[Tensor, Crop], float], sample: list[Draw]) -> float:
    """Return the CPU milliseconds a step over the sample."""
    start = time.process_time()
    for x, crop in sample:
        step(x, crop)
    return (time.process_time() - start) / len(sample) * 1e3


def serve(arm: str, name: str, data_dir: Path | None, threads: int, orders: Connection) -> None:
    """Be an arm's process: answer each pair of steps and seed with the cost of a step, in ms."""
    torch.set_num_threads(threads)
    job, reference, settings = build(name, data_dir)

    def slow(x: Tensor, crop: Crop) -> float:
        return reference.step(x, crop, TAU)

    step = ours(job, settings) if arm == "ours" else slow
    while (order := orders.recv()) is not None:
        orders.send(cpu_ms(step, draws(job, *order)))


@contextmanager
def arm_process(arm: str, *arguments: Any) -> Iterator[Connection]:
    """Start an arm's process; yield the pipe to it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(arm, *arguments, there))
    process.start()
    yield here
    here.send(None)
    process.join()


def compare(name: str, data_dir: Path | None, blocks: int, steps: int, threads: int) -> None:
    """Print one line: agreement, both costs, and their ratio's median and range."""
    job, reference, settings = build(name, data_dir)
    worst = disagreement(job, reference, settings, draws(job, 3, 1))
    arguments = name, data_dir, threads
    pairs = []
    with arm_process("ours", *arguments) as fast, arm_process("reference", *arguments) as slow:
        for block in range(-1, blocks):  # the first one warms up
            cost = {}
            for arm in (fast, slow) if block % 2 == 0 else (slow, fast):
                arm.send((steps, 10 + block))
                cost[arm] = arm.recv()
            pairs.append((cost[fast], cost[slow]))
    pairs = pairs[1:]
    ratios = [slower / faster for faster, slower in pairs]
    print(
        f"{name}: losses agree to {worst:.1e} (must be < 1e-6);"
        f" ours {statistics.median(p[0] for p in pairs):.2f} ms,"
        f" reference {statistics.median(p[1] for p in pairs):.2f} ms a step;"
        f" ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )
    assert worst < 1e-6, f"{name}: the losses differ by {worst}"


def main() -> None:
    """Compare on each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument(
        "--dataset", nargs="+", default=["Chinatown", "Coffee", "AtrialFibrillation"]
    )
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.dataset:
        compare(name, options.data_dir, options.blocks, options.steps, options.threads)


if __name__ == "__main__":
    main()
