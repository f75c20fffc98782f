"""A head on a random frozen encoder of `s4-ecg`, and a small network trained whole: macro AUROC.

Run: ``python -m tests.benchmarks.bench_s4_folds [--folds 1 2 ...] [--seeds 3] [--first-seed 0]``
(and ``--arms NAME ...``), by hand, on `shared/data/ptbxl` beside the checkout.
About 5 CPU minutes a fold and seed.

One fold holds some 50 records of 500, too few to tell two networks apart by: what chooses weights
(the fold before) and what tests them disagree by more than the networks do. So every fold is
tested on in turn, by networks that have not seen it, all with the same seed. Intervals are 95 %
of the mean over folds, of each fold's mean over seeds (of one fold: over seeds). Folds share
training records, so theirs are a little too narrow.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from bench.statistics import mean_interval
from bench.testing import Case
from bench.training import train

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ptbxl"


class Arm(NamedTuple):
    """Settings of the baseline, and techniques."""

    settings: dict[str, Any]
    techniques: tuple[str, ...]


FROZEN = {"layers": 3, "frozen": True, "lr": 1e-3, "epochs": 200}
WIDE = FROZEN | {"residual": 256, "skip": 512}
SMALL = {"layers": 3, "residual": 32, "skip": 128, "kernel": "s4d", "lr": 3e-3, "epochs": 40}
ARMS = {
    "frozen": Arm(FROZEN | {"residual": 128, "skip": 128}, ("cached-features",)),
    "frozen, wide, diagonal": Arm(WIDE | {"kernel": "s4d"}, ("cached-features",)),
    "frozen, wide": Arm(WIDE, ("cached-features",)),
    "trained whole": Arm(SMALL | {"frozen": False}, ("mixup:alpha=1", "dynamic-lr")),
}


def reached(arm: Arm, fold: int, seed: int) -> float:
    """Return the macro AUROC of one training on the fold that it has not seen."""
    settings = {"dataset": "ptbxl", "data_dir": str(DATA), "fold": fold}
    job = Case("s4-ecg", settings | arm.settings).job("allocator", *arm.techniques, seed=seed)
    return float(train(job).evaluations[-1].values["macro_auroc"])


def shown(values: list[float]) -> str:
    """Return a mean with its interval."""
    found = mean_interval(values, 0.95)
    assert found is not None
    if found.low is None:
        return f"{found.middle:.4f}"
    return f"{found.middle:.4f} [{found.low:.4f}, {found.high:.4f}]"


def main() -> None:
    """Print each fold's values, then means, and how far the last arm is above the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    found: dict[str, list[list[float]]] = {name: [] for name in asked.arms}
    for fold in asked.folds:
        begun = time.process_time()
        for name in asked.arms:
            found[name].append([reached(ARMS[name], fold, seed) for seed in seeds])
        each = "; ".join(f"{name} {shown(values[-1])}" for name, values in found.items())
        print(f"fold {fold}: {each}; {time.process_time() - begun:.0f} CPU-s", flush=True)
    if len(asked.folds) > 1:
        means = [[statistics.mean(fold) for fold in values] for values in found.values()]
    else:
        means = [values[0] for values in found.values()]
    for name, own in zip(asked.arms, means, strict=True):
        print(f"{name}: {shown(own)}")
    for name, own in zip(asked.arms[:-1], means, strict=False):
        differences = [last - one for one, last in zip(own, means[-1], strict=True)]
        print(f"{asked.arms[-1]} above {name}: {shown(differences)}")


if __name__ == "__main__":
    main()
