"""How often the verdict is fooled: real runs of a baseline against itself, judged as a candidate.

Run by hand: ``python -m tests.benchmarks.bench_false_wins [--runs 40] [-- BENCH ARGUMENTS]``, for
example ``-- --dataset UnitTest --epochs 20``. Target: at most 2 wins in 40 runs (5 %).
Each run is a process of its own; its A/A control arm is relabelled and judged like any candidate.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench.analysis.comparison import compare_run
from bench.analysis.results import ArmResult
from bench.records.measurement import CONTROL
from bench.records.run_folder import read_run

BENCH = Path(sys.executable).parent / "bench"


def judged(run: Path) -> ArmResult:
    """Return what the verdict on the control would be, were it a candidate."""
    header, trials, _ = read_run(run)
    renamed = [
        t.model_copy(update={"arm": "again", "effect": "rounding"}) if t.arm == CONTROL else t
        for t in trials
    ]
    (result,) = compare_run(header, renamed, ()).arms
    return result


def one(arguments: list[str], seed: int) -> ArmResult:
    """Run the baseline against itself once."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(BENCH), "--baseline-only", "--quiet", "--repeats", "6"]
        command += ["--seed", str(seed), "--output", folder, *arguments]
        subprocess.run(command, check=True, capture_output=True)
        (run,) = Path(folder).iterdir()
        return judged(run)


def main() -> None:
    """Print every verdict, then the count of wins."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("arguments", nargs="*")
    asked = parser.parse_args()
    verdicts: Counter[str] = Counter()
    for number in range(asked.runs):
        result = one(asked.arguments, 100 * number)
        verdicts[str(result.verdict)] += 1
        low, middle, high = result.time_ratio or (None, None, None)
        print(
            f"{number + 1:3} {result.verdict}: time {middle:.3f} [{low:.3f}, {high:.3f}]",
            flush=True,
        )
    print(f"{verdicts['win']} wins in {asked.runs} A/A runs: {dict(verdicts)}")


if __name__ == "__main__":
    main()
