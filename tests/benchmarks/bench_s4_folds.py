"""A head on a random frozen encoder of `s4-ecg`, and a small network trained whole: macro AUROC.

Run: ``python -m tests.benchmarks.bench_s4_folds [--seeds 3] [--first-seed 0] [--folds 1 2 ...]``
(and ``--arms NAME ...``, ``--workers 2``), by hand, on `shared/data/ptbxl` beside the checkout.
About 5 CPU minutes a fold and seed, on one thread each. The small network learns from windows of
2.5 s and answers with the mean over seven of them (Strodthoff et al., JBHI 2021).

One fold holds some 50 records of 500, too few to tell two networks apart by: what chooses weights
(the fold before) and what tests them disagree by more than the networks do. So every fold is
tested on in turn, by networks that have not seen it, all with the same seed. Intervals are 95 %:
over seeds, of each seed's mean over folds, which says how far another seed may be; and over folds,
of each fold's mean over seeds, which says how far other records may be. Folds share training
records, so the latter are a little too narrow.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch

from bench.analysis.intervals import mean_interval
from bench.testing import Case
from bench.trial.training import train

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ptbxl"


class Arm(NamedTuple):
    """Settings of the baseline, and techniques."""

    settings: dict[str, Any]
    techniques: tuple[str, ...]


FROZEN = {"layers": 3, "frozen": True, "lr": 1e-3, "epochs": 200}
WIDE = FROZEN | {"residual": 256, "skip": 512}
SMALL = {"layers": 3, "residual": 32, "skip": 128, "kernel": "s4d", "lr": 3e-3, "epochs": 100}
WINDOWS = ("sequence-reduction:share=0.25,until=1", "tta:window=0.25,views=7")
ARMS = {
    "frozen": Arm(FROZEN | {"residual": 128, "skip": 128}, ("cached-features",)),
    "frozen, wide, diagonal": Arm(WIDE | {"kernel": "s4d"}, ("cached-features",)),
    "frozen, wide": Arm(WIDE, ("cached-features",)),
    "trained whole": Arm(SMALL | {"frozen": False}, ("mixup:alpha=1", "dynamic-lr", *WINDOWS)),
}


class Task(NamedTuple):
    """Which networks are trained and tested."""

    seed: int
    fold: int
    arms: tuple[str, ...]


def reached(task: Task) -> tuple[list[float], float]:
    """Return the macro AUROC of each arm on the fold that it has not seen, and the CPU seconds."""
    begun = time.process_time()
    torch.set_num_threads(1)
    settings = {"dataset": "ptbxl", "data_dir": str(DATA), "fold": task.fold}
    found = []
    for name in task.arms:
        case = Case("s4-ecg", settings | ARMS[name].settings)
        result = train(case.job("allocator", *ARMS[name].techniques, seed=task.seed))
        found.append(float(result.evaluations[-1].values["macro_auroc"]))
    return found, time.process_time() - begun


def shown(values: Sequence[float]) -> str:
    """Return a mean with its interval."""
    found = mean_interval(values, 0.95)
    assert found is not None
    if found.low is None:
        return f"{found.middle:.4f}"
    return f"{found.middle:.4f} [{found.low:.4f}, {found.high:.4f}]"


def summary(name: str, values: dict[Task, float]) -> str:
    """Return means and intervals over seeds and over folds."""
    said = []
    for what in ("seed", "fold"):
        groups: dict[int, list[float]] = {}
        for task, value in values.items():
            groups.setdefault(getattr(task, what), []).append(value)
        means = [statistics.mean(group) for group in groups.values()]
        said.append(f"over {what}s {shown(means)} ({' '.join(f'{one:.4f}' for one in means)})")
    return f"{name}: {'; '.join(said)}"


def conclude(found: dict[str, dict[Task, float]]) -> None:
    """Print the means of each arm so far, and how far the last one is above the others."""
    *others, last = found
    for name, values in found.items():
        print(summary(name, values))
    for name in others:
        above = {task: found[last][task] - value for task, value in found[name].items()}
        print(summary(f"{last} above {name}", above), flush=True)


def main() -> None:
    """Print what each seed gives on each fold, and after each seed the means so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    asked = parser.parse_args()
    arms = tuple(asked.arms)
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    tasks = [Task(seed, fold, arms) for seed in seeds for fold in asked.folds]
    found: dict[str, dict[Task, float]] = {name: {} for name in arms}
    with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        for task, (values, seconds) in zip(tasks, pool.map(reached, tasks), strict=True):
            for name, value in zip(arms, values, strict=True):
                found[name][task] = value
            each = "; ".join(
                f"{name} {value:.4f}" for name, value in zip(arms, values, strict=True)
            )
            print(f"seed {task.seed} fold {task.fold}: {each}; {seconds:.0f} CPU-s", flush=True)
            if task.fold == asked.folds[-1]:
                conclude(found)


if __name__ == "__main__":
    main()
