"""What does a full optimisation find, for what cost, beside random search and TPE?

Run by hand, on a quiet machine. First every combination of six techniques is measured, round after
round of all of them, for as many minutes as are given; Ctrl-C ends it early, and `bench --resume
RUN` goes on, no trial twice:

    python -m tests.benchmarks.bench_search record --baseline timehut --dataset Chinatown \
        --data-dir FOLDER --epochs 50 --techniques scale-model limit-steps sequence-reduction \
        mixed-precision early-stopping gradient-checkpointing --rounds 4 --minutes 14
    python -m tests.benchmarks.bench_search record --baseline xray --dataset synthetic --epochs 4 \
        --set synthetic_images=400 image_size=64 --techniques smaller-input scale-model \
        channels-last mixed-precision limit-steps freeze-encoder --rounds 4 --minutes 14
    python -m tests.benchmarks.bench_search keep results/RUN chinatown.jsonl.gz

(the last makes one small file of a run); then the search itself is replayed from these records many
times, with other rounds drawn each time:

    python -m tests.benchmarks.bench_search replay results/RUN|chinatown.jsonl.gz [--replays 100]

Targets: at least 95 % of the best feasible log gain in time, in at least 90 % of the replays, with
at most a quarter of the trials that measuring all combinations takes; and more than random search
and TPE (of optuna, where that is installed) reach for the same seconds of trials.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import cast

import typer

from bench.analysis import screening
from bench.analysis.aims import best
from bench.analysis.comparison import compare_run
from bench.analysis.levels import FIRST, MOST
from bench.analysis.subsets import Subset, techniques_of
from bench.baseline import Baseline
from bench.errors import BenchError, Clash
from bench.launch.local import Runner
from bench.recipes import registry, resolve
from bench.recipes.combination import check_conflicts
from bench.records.header import Arm
from bench.records.measurement import Measurement
from bench.records.run_folder import Folder
from bench.run.modes import full_optimization
from bench.run.request import Request
from bench.run.session import Session
from tests.benchmarks import tables
from tests.benchmarks.recorded import Recorded, Replayer, kept, logs_of

ENOUGH = 0.95
NOTHING: Subset = frozenset()


class Silent:
    """Shows nothing."""

    def opened(self, folder: Folder) -> None: ...
    def expect(self, trials: int) -> None: ...
    def begin(self, what: str) -> None: ...
    def done(self, record: Measurement) -> None: ...
    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class Found:
    """What a search chose, and what that took."""

    subset: Subset
    trials: int
    seconds: float


def searched(recorded: Recorded, baseline: Baseline, seed: int) -> Found:
    """Replay a full optimisation, its own code, once."""
    header = recorded.header.model_copy(update={
        "mode": "full-optimization", "first": FIRST, "repeats": MOST,
        "screening": screening.LOOKS, "raced": {}, "blocks": {}, "order": {},
        "budget_seconds": None, "objectives": ("time",), "limits": {},
        "arms": tuple(Arm(techniques=(name,)) for name in recorded.techniques),
    })  # fmt: skip
    settings = registry.make_settings(baseline, header.settings)
    replayer = Replayer(recorded, seed)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place)
        (path / "run.json").write_text(header.model_dump_json())
        folder = Folder(path, header)
        recipe = resolve.baseline_recipe(header.baseline, settings, {})
        session = Session(folder, cast(Runner, replayer), baseline, recipe, {}, Silent())
        full_optimization(session)
        winner = best(compare_run(session.header, session.records, ()))
        won = [t for t in session.records if winner is not None and t.arm == winner.arm]
        folder.close()
    subset = frozenset(techniques_of(won[0])) if won else NOTHING
    return Found(subset, replayer.asked, replayer.seconds)


@dataclass
class Trier:
    """Tries combinations by as many pairs as a first look has, until its seconds are spent."""

    recorded: Recorded
    seed: int
    budget: float
    scores: dict[Subset, float] = field(default_factory=dict)
    seconds: float = 0.0
    trials: int = 0

    def __call__(self, subset: Subset) -> float:
        """Return the mean log gain of a combination; a loss beyond the margin is far below any."""
        if subset not in self.recorded.pairs:
            return 0.0 if not subset else -1.0
        draw = random.Random(f"{self.seed}/{sorted(subset)}/{self.trials}")
        pairs = draw.choices(self.recorded.pairs[subset], k=FIRST)
        self.trials += 2 * FIRST
        self.seconds += sum((t.wall_seconds or 0.0) for pair in pairs for t in pair)
        score = fmean(logs_of(pairs)) if kept(pairs, self.recorded.header) else -1.0
        self.scores[subset] = score
        return score

    @property
    def is_over(self) -> bool:
        """Tell whether the seconds are spent."""
        return self.seconds >= self.budget

    @property
    def found(self) -> Found:
        """Return the best that was tried, nothing where nothing gained."""
        subset = max(self.scores, key=lambda one: self.scores[one], default=NOTHING)
        chosen = subset if self.scores.get(subset, 0.0) > 0 else NOTHING
        return Found(chosen, self.trials, self.seconds)


def at_random(trier: Trier, techniques: Sequence[str]) -> None:
    """Try combinations in random order."""
    every = list(subsets(techniques))
    random.Random(f"{trier.seed}/order").shuffle(every)
    for subset in every:
        if trier.is_over:
            return
        trier(subset)


def by_tpe(trier: Trier, techniques: Sequence[str]) -> None:
    """Try what optuna's tree of Parzen estimators asks for."""
    optuna = import_module("optuna")  # it need not be there
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=trier.seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(10 * 2 ** len(techniques)):
        if trier.is_over:
            return
        asked = study.ask()
        used = [name for name in techniques if asked.suggest_categorical(name, [False, True])]
        subset = frozenset(used)
        known = trier.scores.get(subset)
        study.tell(asked, trier(subset) if known is None else known)


def subsets(techniques: Sequence[str]) -> Iterator[Subset]:
    """Yield every combination of some."""
    for size in range(1, len(techniques) + 1):
        yield from map(frozenset, combinations(techniques, size))


def compared(recorded: Recorded, baseline: Baseline, replays: int, seed: int) -> list[str]:
    """Return, a line each, how often each way of searching found enough, and for what."""
    ways: dict[str, Callable[[Trier, Sequence[str]], None]] = {"random search": at_random}
    if find_spec("optuna"):
        ways["TPE"] = by_tpe
    found: dict[str, list[Found]] = {"full optimisation": [], **{name: [] for name in ways}}
    for number in range(replays):
        ours = searched(recorded, baseline, seed + number)
        found["full optimisation"].append(ours)
        for name, search in ways.items():
            trier = Trier(recorded, seed + number, ours.seconds)
            search(trier, recorded.techniques)
            found[name].append(trier.found)
    lines = [
        f"{len(recorded.pairs)} combinations of {', '.join(recorded.techniques)}: the best is "
        f"{math.exp(recorded.best):.3f}x; all of them took {recorded.trials} trials"
    ]
    lines += [_line(name, own, recorded) for name, own in found.items()]
    return lines if "TPE" in ways else [*lines, "TPE: not tried, optuna is not installed"]


def _line(name: str, found: Sequence[Found], recorded: Recorded) -> str:
    reached = [recorded.gain(one.subset) / recorded.best for one in found]
    enough = sum(share >= ENOUGH for share in reached) / len(found)
    trials = fmean(one.trials for one in found)
    return (
        f"{name}: {ENOUGH:.0%} of the best gain in {enough:.0%} of {len(found)} replays (mean "
        f"{fmean(reached):.0%}), in {trials:.0f} trials, {trials / recorded.trials:.0%} of all, "
        f"{fmean(one.seconds for one in found):.0f} s"
    )


def record(asked: argparse.Namespace) -> None:
    """Measure every combination of the techniques that go together, as an ordinary run."""
    from bench.cli.run import execute
    from bench.recipes.references import parse_assignments

    arms = tuple(
        Arm(techniques=tuple(name for name in asked.techniques if name in subset))
        for subset in subsets(asked.techniques)
        if _go_together(subset)
    )
    given = {"dataset": asked.dataset, "data_dir": asked.data_dir, "epochs": asked.epochs}
    settings = {name: value for name, value in given.items() if value is not None}
    wanted = Request(
        mode="test", baseline=asked.baseline, arms=arms, repeats=asked.rounds,
        settings=settings | parse_assignments(asked.set), threads=asked.threads,
        budget_seconds=60 * asked.minutes, output=Path(asked.output),
        command=("python", "-m", "tests.benchmarks.bench_search", *sys.argv[1:]),
    )  # fmt: skip
    with suppress(typer.Exit):  # how it ended stands in the report
        execute(wanted, quiet=False)


def _go_together(subset: Subset) -> bool:
    try:
        check_conflicts(technique for _, technique in resolve.make_techniques(sorted(subset)))
    except Clash:
        return False
    return True


def main() -> None:
    """Record, keep what was recorded in one file, or replay."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("--techniques", nargs="+", required=True)
    for name in ("--baseline", "--dataset", "--data-dir", "--epochs"):
        recording.add_argument(name, default="timehut" if name == "--baseline" else None)
    recording.add_argument("--set", nargs="*", default=[])
    recording.add_argument("--rounds", type=int, default=8)
    recording.add_argument("--minutes", type=float, default=14.0)
    recording.add_argument("--threads", type=int, default=1)
    recording.add_argument("--output", default="results")
    keeping = commands.add_parser("keep")
    for name in ("run", "table"):
        keeping.add_argument(name, type=Path)
    replaying = commands.add_parser("replay")
    replaying.add_argument("run", type=Path)
    replaying.add_argument("--replays", type=int, default=100)
    replaying.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if asked.command == "record":
        record(asked)
        return
    if asked.command == "keep":
        tables.write(asked.run, asked.table)
        return
    recorded = Recorded.read(asked.run)
    if not recorded.techniques:
        raise BenchError(f"{asked.run} holds no technique alone; record a run first")
    baseline = registry.load_baseline(recorded.header.baseline)
    for line in compared(recorded, baseline, asked.replays, asked.seed):
        print(line)


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"error: {error}")
