"""What measuring costs: the harness's step time over the same loop written by hand, interleaved.

Run by hand: ``python -m tests.benchmarks.bench_overhead [--blocks 30]``. Target: at most 1 %.
Both loops train equal jobs of timehut on aeon's bundled UnitTest set, in alternating blocks of
epochs within one process, so that whatever else the machine does falls on both alike.
"""

from __future__ import annotations

import argparse
import random
import time
from statistics import median

import torch

from bench.analysis.intervals import ratio_interval
from bench.job import Job, Progress
from bench.random_state import seed_everything
from bench.recipes import registry
from bench.trial.training import StepLimit, train

STEPS = 20


def made_job() -> Job:
    """Return a fresh job of the default baseline."""
    baseline = registry.load_baseline("timehut")
    settings = registry.make_settings(baseline, {"dataset": "UnitTest", "epochs": 100_000})
    seed_everything(0)
    return baseline.job(settings, torch.device("cpu"), 0)


def by_hand(job: Job, optimizer: torch.optim.Optimizer, progress: Progress) -> float:
    """Return seconds a step of a plain loop."""
    job.model.train()
    steps = 0
    begun = time.perf_counter()
    while steps < STEPS:
        job.schedule(optimizer, progress)
        for batch in job.batches(progress):
            loss = job.loss(job.model, batch)
            job.backward(loss)
            job.update(optimizer)
            steps += 1
    return (time.perf_counter() - begun) / steps


def by_harness(job: Job) -> float:
    """Return seconds a step as the harness tells them."""
    limit = StepLimit(steps=STEPS, seconds=0.0, most_steps=STEPS)
    timeline = train(job, limit).timeline
    return timeline.seconds / len(timeline.steps)


def main() -> None:
    """Print the ratio of both, block by block, with its interval."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=30)
    blocks = parser.parse_args().blocks
    torch.set_num_threads(1)
    plain, measured = made_job(), made_job()
    optimizer = plain.make_optimizer(plain.model)
    progress = Progress(plain.epochs)
    by_hand(plain, optimizer, progress)
    by_harness(measured)
    ratios, hand = [], []
    order = random.Random(0)
    for _ in range(blocks):
        hand_first = order.random() < 0.5
        first = by_hand(plain, optimizer, progress) if hand_first else 0.0
        harness = by_harness(measured)
        seconds = first or by_hand(plain, optimizer, progress)
        hand.append(seconds)
        ratios.append(harness / seconds)
    interval = ratio_interval(ratios, level=0.95)
    assert interval is not None
    low, _, high = interval
    print(f"by hand: {1e3 * median(hand):.2f} ms a step (median of {blocks} blocks)")
    print(f"harness / by hand: median {median(ratios):.4f}, mean {interval.middle:.4f} "
          f"[{low:.4f}, {high:.4f}] (95 %)")  # fmt: skip


if __name__ == "__main__":
    main()
