"""The whole frozen training of `s4-ecg`'s optimized size, with and without cached features.

Run by hand: ``python -m tests.benchmarks.bench_s4_features [--repeats 1] [--published SECONDS]``
(about 10 CPU minutes a plain trial). 10 epochs on the training records of `shared/data/ptbxl`, by
`bench` itself, in interleaved pairs. Target: 8 times faster.

The projection to the report's 17,418 records: every part of both trainings (steps, the one pass of
the encoder, validation) grows with the records, so their seconds are multiplied by 17,418 / 353.
`--published` is what a step of 32 records takes the published code (from `bench_s4_step`): times
544 steps times 10 epochs, it is the report's own run. Target: 40 times slower than the cached one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCH = Path(sys.executable).parent / "bench"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ptbxl"
FULL, STEPS, EPOCHS = 17_418, 544, 10
COMMAND = [
    "--baseline", "s4-ecg", "--dataset", "ptbxl", "--data-dir", str(DATA), "--set",
    "size=optimized", "--epochs", str(EPOCHS), "--test", "cached-features", "--trial-timeout", "1h",
]  # fmt: skip


def trials(output: Path, repeats: int, options: list[str]) -> list[dict[str, Any]]:
    """Run `bench`; return the records of its whole trainings."""
    run = [str(BENCH), *COMMAND, "--repeats", str(repeats), "--output", str(output), "--quiet"]
    subprocess.run([*run, *options], check=True)
    newest = max(output.glob("*_s4-ecg_test"), key=lambda folder: folder.name)
    lines = (newest / "trials.jsonl").read_text().splitlines()
    return [r for r in map(json.loads, lines) if r["kind"] == "full" and r["status"] == "ok"]


def main() -> None:
    """Print what was measured, then what follows from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--published", type=float, help="seconds of a published step")
    parser.add_argument("--output", type=Path, default=Path("results"))
    asked, options = parser.parse_known_args()
    found = trials(asked.output, asked.repeats, options)
    plain = [r for r in found if r["arm"].startswith("baseline")]
    cached = [r for r in found if not r["arm"].startswith("baseline")]
    records = plain[0]["data"]["train_items"]
    slow, fast = (statistics.median(r["train_seconds"] for r in arm) for arm in (plain, cached))
    same = {r["seed"]: r["losses"] for r in plain}
    equal = all(same[r["seed"]] == r["losses"] for r in cached)
    losses = "the same losses" if equal else "other losses"
    print(f"{records} records, {EPOCHS} epochs: {slow:.1f} s plain, {fast:.1f} s cached,"
          f" {slow / fast:.2f} x, {losses}")  # fmt: skip
    factor = FULL / records
    print(f"projected to {FULL:,} records, times {factor:.2f}: {slow * factor / 3600:.2f} h plain,"
          f" {fast * factor / 3600:.2f} h cached")  # fmt: skip
    if asked.published:
        whole = asked.published * STEPS * EPOCHS
        print(f"as published, {asked.published:g} s x {STEPS} x {EPOCHS} = {whole / 3600:.1f} h,"
              f" {whole / (fast * factor):.0f} x the cached one")  # fmt: skip


if __name__ == "__main__":
    main()
