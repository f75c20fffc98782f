"""What every technique gives on the baseline where it should help most, by `bench` itself.

Run by hand: ``python -m tests.benchmarks.bench_techniques [--repeats 4] [--output DIR] [ROW ...]``,
on an idle machine; other options go to `bench` (``--threads=1``). Every row is one run of `bench`,
whose report stays in DIR: interleaved pairs in fresh processes, full trainings with the quality.
Targets, on two cores: pruning at 0.5 at least 2x less FLOPs and 1.5x faster inference, quantization
a 3x smaller file and 2x faster inference, both with the accuracy within the margin of 0.02;
mixed-precision 1.5x; gradient-checkpointing 40 % less peak memory, where freed memory is returned.
The other techniques have no target: their rows show what they give here, which may be nothing. A
test holds that each technique has a row.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.technique_rows import ROWS, Row

BENCH = Path(sys.executable).parent / "bench"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MARGIN = 0.02
SHOWN = {
    "time": "time_ratio", "memory": "memory_ratio", "step FLOPs": "flops_ratio",
    "inference FLOPs": "inference_flops_ratio", "file": "size_ratio", "latency": "latency_ratio",
    "throughput": "throughput_ratio",
}  # fmt: skip


def measure(row: Row, repeats: int, output: Path, data: Path, options: list[str]) -> dict[str, Any]:
    """Run `bench` once; return what it says of each arm."""
    command = [
        str(BENCH), "--baseline", row.baseline, row.mode, *row.techniques, "--repeats",
        str(repeats), "--margin", str(MARGIN), "--output", str(output), "--json",
        *row.settings, *(["--data-dir", str(data / row.data)] if row.data else []),
        *options,
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    arms: dict[str, Any] = json.loads(done.stdout)["arms"]
    return arms


def shown(found: dict[str, Any]) -> dict[str, float]:
    """Return the middle of each ratio, baseline / candidate, that is known."""
    ratios = {name: found.get(key) for name, key in SHOWN.items()}
    middles = {name: r[1] if isinstance(r, list) else r for name, r in ratios.items()}
    return {name: value for name, value in middles.items() if value is not None}


def line(arm: str, found: dict[str, Any], targets: dict[str, float]) -> str:
    """Return what an arm gave, and which of its targets it misses by how much."""
    ratios = shown(found)
    figures = ", ".join(f"{name} {value:.2f}x" for name, value in ratios.items())
    change = found.get("metric_difference")
    quality = f"metric {change[1]:+.4f} [{change[0]:+.4f}, {change[2]:+.4f}]" if change else ""
    missed = [
        f"{name} {ratios.get(name, 0):.2f}x < {least:.2f}x"
        for name, least in targets.items()
        if ratios.get(name, 0) < least
    ]
    verdict = f"MISSED: {'; '.join(missed)}" if missed else "targets met" if targets else "-"
    return f"{arm}: {found['verdict']}; {figures}; {quality}; {verdict}"


def main() -> None:
    """Print a line for each technique."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", default=list(ROWS))
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of all data sets")
    asked, options = parser.parse_known_args()
    for name in asked.rows:
        row = ROWS[name]
        for arm, found in measure(row, asked.repeats, asked.output, asked.data, options).items():
            targets = row.targets.get(arm.partition(":")[0], {})
            print(line(arm, found, targets), flush=True)


if __name__ == "__main__":
    main()
