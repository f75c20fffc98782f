"""Which share of the whole catalogue is left undecided: one `--test` of every technique.

Run by hand, on a quiet machine; the run stays in DIR and may be read again:

    python -m tests.benchmarks.bench_undecided [--output DIR] [--budget 30m] \
        -- --baseline timehut --dataset Chinatown --data-dir FOLDER --threads 1
    python -m tests.benchmarks.bench_undecided --read results/RUN

Printed are the arms by verdict and effect, what judged their metric, and how many pairs they took.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.analysis.comparison import compare_run
from bench.analysis.results import ArmResult
from bench.analysis.verdict import Verdict
from bench.recipes.registry import TECHNIQUES, names
from bench.records.measurement import BASELINE, CONTROL
from bench.records.run_folder import read_run

BENCH = Path(sys.executable).parent / "bench"
UNJUDGED = frozenset({Verdict.NOT_APPLICABLE, Verdict.BOUNDED})


def told(arms: Sequence[tuple[ArmResult, str]]) -> Iterator[str]:
    """Yield a line for each arm with its effect, then the share that is left undecided."""
    judged = [(arm, effect) for arm, effect in arms if arm.verdict not in UNJUDGED]
    for arm, effect in sorted(judged, key=lambda one: (one[1], one[0].arm)):
        items = arm.test_items or 0
        yield (
            f"{arm.arm:32} {effect:9} {arm.verdict:14} {arm.pairs:3} pairs  "
            f"{arm.judged_by} ({items} items)  {arm.reason}"
        )
    for group in ("exact", "rounding", "learning", "model", None):
        own = [arm for arm, effect in judged if group in (effect, None)]
        left = sum(arm.verdict is Verdict.UNDECIDED for arm in own)
        if own:
            pairs = sum(arm.pairs for arm in own) / len(own)
            share = f"{left} of {len(own)} undecided ({100 * left / len(own):.0f} %)"
            yield f"{group or 'all'}: {share}, {pairs:.1f} pairs an arm"
    yield f"verdicts: {dict(Counter(str(arm.verdict) for arm, _ in arms))}"


def read(run: Path) -> list[tuple[ArmResult, str]]:
    """Return the arms of a run, each with its effect."""
    header, trials, probes = read_run(run)
    effects = {t.arm: t.effect for t in trials if t.effect and t.arm not in (BASELINE, CONTROL)}
    arms = compare_run(header, trials, probes).arms
    return [(arm, effects.get(arm.arm, "unknown")) for arm in arms]


def measured(output: Path, budget: str | None, arguments: list[str]) -> Path:
    """Test every technique; return the run's folder."""
    before = set(output.glob("*/run.json"))
    command = [str(BENCH), "--test", *names(TECHNIQUES), "--output", str(output), *arguments]
    done = subprocess.run([*command, *(["--budget", budget] if budget else [])], check=False)
    new = set(output.glob("*/run.json")) - before
    if not new:
        sys.exit(done.returncode or 1)
    return max(new).parent


def main() -> None:
    """Run, or read, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--read", type=Path)
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--budget")
    given = [*sys.argv[1:], "--"]
    own, others = given[: given.index("--")], given[given.index("--") + 1 : -1]
    asked = parser.parse_args(own)
    run = asked.read or measured(asked.output, asked.budget, others)
    for line in told(read(run)):
        print(line)


if __name__ == "__main__":
    main()
