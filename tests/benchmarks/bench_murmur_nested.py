"""Murmur at its best by its table of settings: nested cross-validation by patient.

Run by hand, on a quiet machine; what is done already in DIR is not done again:

    python -m tests.benchmarks.bench_murmur_nested DATA_DIR [--budget 20m] [--output DIR] \
        [--threads 1] [--set key=value ...]

Each of the folds is the test part once: `bench --full-optimization --objective quality` chooses the
settings by the patients that it holds out of the others, and the test part judges them on seeds
that no try has seen. Printed are, of each fold, what was chosen and what both reach; then the means
over folds with 95 % intervals (t over folds; their training parts overlap, so it is a little
narrow), and that of the difference.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from bench.records.measurement import BASELINE, Measurement
from bench.records.ranges import TUNED
from bench.records.run_folder import read_run

BENCH = Path(sys.executable).parent / "bench"
FOLDS = 5
SHOWN = ("murmur_weighted_accuracy", "murmur_accuracy", "outcome_accuracy")


class Fold(NamedTuple):
    """What one outer fold says: settings that were chosen, metrics of both, tries."""

    chosen: str
    tuned: dict[str, float]
    own: dict[str, float]
    tries: int


def searched(asked: argparse.Namespace, fold: int) -> Path:
    """Search on all folds but one, unless that was done; return the run's folder."""
    place: Path = asked.output / f"fold-{fold}"
    begun = sorted(place.glob("*/run.json"))
    if begun:
        command = ["--resume", str(begun[-1].parent)]
    else:
        command = [
            "--baseline", "murmur", "--dataset", "circor", "--data-dir", str(asked.data_dir),
            "--full-optimization", "--objective", "quality", "--budget", asked.budget,
            "--threads", asked.threads, "--output", str(place),
            "--set", f"fold={fold}", *asked.set,
        ]  # fmt: skip
    done = subprocess.run([str(BENCH), *command], check=False)
    found = sorted(place.glob("*/run.json"))
    if not found:
        sys.exit(done.returncode or 1)
    return found[-1].parent


def read(run: Path) -> Fold:
    """Return what a search chose, and how the test part judged it."""
    header, trials, _ = read_run(run)
    good = [trial for trial in trials if trial.ok]
    judged = [trial for trial in good if trial.stage == "confirm"]
    own = _means([trial for trial in judged if trial.arm == BASELINE])
    tuned = [trial for trial in judged if trial.arm == TUNED]
    tries = sum(trial.stage == "tune" and trial.arm != BASELINE for trial in good)
    if not tuned:
        return Fold("the baseline's own", own, own, tries)
    settings = tuned[0].recipe["settings"]
    chosen = " ".join(f"{name}={settings[name]}" for name in header.ranges)
    return Fold(chosen, _means(tuned), own, tries)


def _means(trials: Sequence[Measurement]) -> dict[str, float]:
    last = [trial.metrics[-1].values for trial in trials if trial.metrics]
    return {name: mean(values[name] for values in last) for name in SHOWN} if last else {}


def told(folds: Sequence[Fold]) -> Iterator[str]:
    """Yield a line for each fold, then the means over folds with intervals."""
    for number, fold in enumerate(folds):
        found = ", ".join(f"{n} {fold.tuned[n]:.3f} ({fold.own[n]:.3f})" for n in SHOWN)
        yield f"fold {number}: {fold.tries} tries; {fold.chosen}; {found}"
    for name in SHOWN:
        tuned = np.array([fold.tuned[name] for fold in folds])
        own = np.array([fold.own[name] for fold in folds])
        yield (
            f"{name}: tuned {_interval(tuned)}, own settings {_interval(own)}, "
            f"difference {_interval(tuned - own)}"
        )


def _interval(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    if len(values) < 2:
        return f"{values.mean():.3f}"
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.3f} [{values.mean() - half:.3f}, {values.mean() + half:.3f}]"


def main() -> None:
    """Search on each fold's others, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--budget", default="20m", help="of each fold's search")
    parser.add_argument("--output", type=Path, default=Path("results") / "murmur-nested")
    parser.add_argument("--threads", default="1", help="of each training")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value")
    asked = parser.parse_args()
    for line in told([read(searched(asked, fold)) for fold in range(FOLDS)]):
        print(line)


if __name__ == "__main__":
    main()
