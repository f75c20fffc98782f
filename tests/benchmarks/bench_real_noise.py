"""How often the sequential verdict is fooled by real noise: resampled pairs of equal trials.

Run by hand. First pairs of the baseline with itself are recorded, on a quiet machine, and again on
a loaded one into the same folder; each call adds to what is there:

    python -m tests.benchmarks.bench_real_noise record FOLDER [--pairs 200] \
        -- --baseline timehut --dataset Chinatown --epochs 20 --threads 1

then sequential verdicts are drawn from them, signs turned at random:

    python -m tests.benchmarks.bench_real_noise judge FOLDER [--verdicts 200] [--seed 0]

Target: at most 10 false wins in 200 verdicts, from at least 200 pairs.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.analysis.estimate import Values
from bench.analysis.levels import MOST, Rule
from bench.analysis.objectives import Value, memory_of, time_of
from bench.analysis.pairs import Pair, matched, whole
from bench.analysis.sequential import Answer, Objective, Quality, answers
from bench.records.measurement import CONTROL
from bench.records.run_folder import read_run

BENCH = Path(sys.executable).parent / "bench"
ENOUGH, MOST_FALSE = 200, 0.05


class Recorded(NamedTuple):
    """Log ratios of equal trials, pair by pair."""

    time: Values
    memory: Values


def pairs_in(folder: Path) -> list[Pair]:
    """Return the A/A pairs of all runs in a folder."""
    runs = sorted(file.parent for file in folder.glob("*/run.json"))
    return [pair for run in runs for pair in whole(matched(read_run(run)[1], CONTROL))]


def recorded(pairs: list[Pair]) -> Recorded:
    """Return what pairs differ by in time and memory."""
    return Recorded(_logs(pairs, time_of("step")), _logs(pairs, memory_of))


def _logs(pairs: list[Pair], value: Value) -> Values:
    both = [(value(one), value(other)) for one, other in pairs]
    return np.array([math.log(a / b) for a, b in both if a and b])


def false_wins(found: Recorded, verdicts: int, seed: int = 0) -> int:
    """Return how many arms of resampled pairs are called better, with the metric kept."""
    random = np.random.default_rng(seed)
    shape = (verdicts, MOST)
    objectives = [
        Objective(name, random.choice(values, shape) * random.choice((-1.0, 1.0), shape))
        for name, values in found._asdict().items()
    ]
    quality = Quality(np.full(shape, np.nan), 0.01, agree=np.ones(shape, bool), exact=True)
    given, _ = answers(objectives, quality, Rule())
    return int((given == Answer.WIN).sum())


def record(folder: Path, wanted: int, arguments: list[str]) -> None:
    """Run the baseline against itself until there are so many pairs more."""
    begun = len(pairs_in(folder))
    while (have := len(pairs_in(folder))) < begun + wanted:
        count = min(MOST, begun + wanted - have)
        command = [str(BENCH), "--baseline-only", "--quiet", "--repeats", str(max(2, count))]
        command += ["--seed", str(1000 * have), "--output", str(folder), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        print(f"{len(pairs_in(folder))} pairs", flush=True)


def main() -> None:
    """Record pairs, or judge what was recorded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("record", "judge"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=ENOUGH)
    parser.add_argument("--verdicts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = [*sys.argv[1:], "--"]
    own, others = given[: given.index("--")], given[given.index("--") + 1 : -1]
    asked = parser.parse_args(own)
    if asked.what == "record":
        record(asked.folder, asked.pairs, others)
        return
    pairs = pairs_in(asked.folder)
    if len(pairs) < 2:
        sys.exit(f"{asked.folder} holds {len(pairs)} A/A pairs; record some")
    wins = false_wins(recorded(pairs), asked.verdicts, asked.seed)
    few = "" if len(pairs) >= ENOUGH else f"; {ENOUGH} pairs are asked for"
    spread = float(recorded(pairs).time.std(ddof=1))
    print(f"{wins} false wins in {asked.verdicts} verdicts from {len(pairs)} pairs{few}")
    print(f"log ratio of time: SD {spread:.4f}")
    sys.exit(wins > MOST_FALSE * asked.verdicts)


if __name__ == "__main__":
    main()
