"""How long the report of 10,000 trials takes, and how much memory: under 5 s and 500 MiB.

Run it by hand, on a quiet machine: python -m tests.benchmarks.bench_report [trials arms]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench.records.measurement import Measurement
from tests.golden import made_up

TRIALS, ARMS = 10_000, 40
REPORT = """
import resource, sys, time
from pathlib import Path
begun = time.process_time()
import reports
run = reports.read(Path(sys.argv[1]))
read = time.process_time()
texts = [reports.render(format, run) for format in ("md", "html")] + [reports.summary(run)]
done = time.process_time()
assert "torch" not in sys.modules
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
sizes = ", ".join(f"{len(text) / 1024**2:.1f} MiB" for text in texts)
print(f"{len(run.trials)} trials: read {read - begun:.2f} s, rendered {done - read:.2f} s "
      f"({sizes}), peak {peak:.0f} MiB")
"""


def write(path: Path, trials: int, arms: int) -> Path:
    """Write a run of so many trials, in blocks of a baseline and two arms."""
    names = [f"technique-{number}" for number in range(arms)]
    pairs = trials * 2 // (3 * arms)
    found: list[Measurement] = []
    for number in range(pairs):
        for first in range(0, arms, 2):
            pair = number * arms + first
            at = f"2026-11-20T{pair // 3600 % 24:02}:{pair // 60 % 60:02}:{pair % 60:02}+00:00"
            found += [
                made_up.trial(arm, pair, gain, started=at)
                for arm, gain in (
                    ("baseline", 1.0),
                    *zip(names[first : first + 2], (1.2, 0.9), strict=False),
                )
            ]
    return made_up.write(path, made_up.header("test", names, repeats=pairs), found)


def main() -> None:
    """Print the time and the memory of one process that reads and renders."""
    trials, arms = map(int, sys.argv[1:] or (TRIALS, ARMS))
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "run", trials, arms)
        size = (path / "trials.jsonl").stat().st_size / 1024**2
        print(f"trials.jsonl: {size:.0f} MiB")
        subprocess.run([sys.executable, "-c", REPORT, str(path)], check=True)


if __name__ == "__main__":
    main()
