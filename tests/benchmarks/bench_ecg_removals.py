"""What each removal of `ecg-cnn`'s report gives: complex without one part, in interleaved pairs.

Run: ``python -m tests.benchmarks.bench_ecg_removals DATA_DIR [parts] [whole] [options of bench]``,
by hand. `parts` takes out one part at a time (shorter records, several epochs: time and quality);
`whole` puts simple, and simple with techniques, against complex at the full length. Targets: an
epoch of simple is 3 times faster than one of complex, with techniques 5.5 times.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCH = Path(sys.executable).parent / "bench"
WITHOUT = f"{Path(__file__).with_name('removals.py')}:Without"
PARTS = ("attention", "attention_scale", "squeeze", "residual", "focal", "extra_dense", "deep")
SHORT = ["--set", "length=2500", "--epochs", "4", "--margin", "0.05"]
LONG = ["--set", "length=15000", "--epochs", "1", "--margin", "0.05"]
RUNS: dict[str, tuple[tuple[list[str], float | None], ...]] = {
    "parts": ((["--test", *(f"{WITHOUT}:part={part}" for part in PARTS), *SHORT], None),),
    "whole": (
        (["--test", f"{WITHOUT}:part=all", *LONG], 3.0),
        (["--combine", f"{WITHOUT}:part=all", "mixed-precision", *LONG], 5.5),
    ),
}


def measure(data_dir: str, command: list[str]) -> dict[str, Any]:
    """Run `bench` once; return what it says of each arm."""
    start = [str(BENCH), "--baseline", "ecg-cnn", "--dataset", "cinc2020", "--data-dir", data_dir]
    run = [*start, *command, "--set", "network=complex", "--json"]
    done = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True)
    arms: dict[str, Any] = json.loads(done.stdout)["arms"]
    return arms


def interval(values: list[float | None], form: str) -> str:
    """Return a middle with its interval, which one pair doesn't give."""
    low, middle, high = ("unknown" if v is None else format(v, form) for v in values)
    return f"{middle} [{low}, {high}]"


def line(arm: str, found: dict[str, Any], least: float | None) -> str:
    """Return what an arm gave; of its target, whether it was met."""
    parts = [f"{arm}: {found['verdict']}"]
    for what in ("time", "memory"):
        if ratio := found.get(f"{what}_ratio"):
            parts.append(f"{what} {interval(ratio, '.2f')}")
    if change := found.get("metric_difference"):
        parts.append(f"AUROC {interval(change, '+.3f')}")
    if least is not None:
        met = bool(found.get("time_ratio")) and found["time_ratio"][1] >= least
        parts.append(f"target {least}x {'met' if met else 'MISSED'}")
    return "; ".join(parts)


def main() -> None:
    """Print a line for each arm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir")
    parser.add_argument("runs", nargs="*", default=list(RUNS))
    asked, options = parser.parse_known_args()
    for name in asked.runs:
        for command, least in RUNS[name]:
            for arm, found in measure(asked.data_dir, [*command, *options]).items():
                print(line(arm, found, least), flush=True)


if __name__ == "__main__":
    main()
