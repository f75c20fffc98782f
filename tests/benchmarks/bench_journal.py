"""How many trials a second a run on many nodes takes from them, and which part holds it up.

Run by hand, on a quiet machine: ``python -m tests.benchmarks.bench_journal [--trials 3000]``. Nodes
are simulated: each answers at once with trials of so many steps. Target: 1,000 trials a second of
500 steps. Prints what a pair sends and brings back, in bytes, and for each part of the driver's
work how many trials a second it alone would take.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench.analysis.comparison import compare_run
from bench.analysis.levels import rule_of
from bench.launch.node import this_node
from bench.launch.nodes import Ended, Nodes
from bench.launch.task import Answer, Task
from bench.records.arrived import Arrived
from bench.records.header import Arm
from bench.records.measurement import Measurement
from bench.records.node import Node
from bench.records.run_folder import Folder, Journal
from bench.run.open_arms import next_round
from bench.run.plan import Contrast
from bench.run.session import Session
from bench.trial.spec import Outcome, TrialSpec
from tests.records import header, measurement, recipe
from tests.unit.test_session import Heard

STEPS = (50, 500, 5000)
"""Of a trial: a step's time and its loss are kept."""
ROUNDS = 4
"""Pairs of each arm."""
Thing = TypeVar("Thing")


class AtOnce:
    """Nodes that answer at once."""

    size = 1000

    def __init__(self, steps: int, node: Node) -> None:
        self._steps, self._node, self._back = steps, node, list[Ended]()
        self.sent = self.brought = self.trials = 0
        self.seconds = 0.0
        """Spent on being the nodes, which a driver doesn't."""

    def keep_in(self, folder: Path) -> None:
        """Keep nothing."""

    def start(self, name: str, task: Task, avoid: frozenset[str]) -> bool:
        """Answer with what was asked for."""
        text, begun = task.model_dump_json(), time.perf_counter()
        outcomes = tuple(outcome(trial, self._steps, self._node) for trial in task.trials)
        answer = Answer(outcomes=outcomes).model_dump_json()
        self.sent += len(text)
        self.brought += len(answer)
        self.trials += len(outcomes)
        self._back.append(Ended(name, answer))
        self.seconds += time.perf_counter() - begun
        return True

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Return all."""
        back, self._back = self._back, []
        return back

    def close(self) -> None:
        """End nothing."""


def outcome(trial: TrialSpec, steps: int, node: Node) -> Outcome:
    made = trial_of(steps).model_copy(
        update={**trial.identity.model_dump(exclude_unset=True), "node": node}
    )
    return Outcome(measurement=made)


def trial_of(steps: int, pair: int = 0) -> Measurement:
    """Return a trial of so many steps."""
    times = tuple(0.01 + 1e-7 * step for step in range(steps))
    losses = tuple(1 / (1.234567 + step) for step in range(steps))
    return measurement("arm0", pair, step_seconds=times, losses=losses)


def a_second(things: Sequence[Thing], work: Callable[[Thing], object]) -> float:
    """Return how many things are done in a second."""
    begun = time.perf_counter()
    for thing in things:
        work(thing)
    return len(things) / (time.perf_counter() - begun)


def parts(steps: int, count: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Yield each part of the work on a block, and how many trials a second it takes alone."""
    made = [trial_of(steps, pair) for pair in range(count)]
    blocks = [made[i : i + 2] for i in range(0, count, 2)]
    texts = [Answer(outcomes=tuple(Outcome(measurement=t) for t in b)).model_dump_json()
             for b in blocks]  # fmt: skip
    yield "read a block's answer", 2 * a_second(texts, Answer.model_validate_json)
    yield "make a trial's line", a_second(made, Measurement.model_dump_json)
    arrived, journal = Arrived(folder / "arrived.jsonl"), Journal(folder / "trials.jsonl")
    alone = [[block] for block in blocks]
    yield "arrived.jsonl: line and sync a block", 2 * a_second(alone, arrived.append)
    yield "trials.jsonl: line and sync a trial", a_second(made, journal.append)
    with (folder / "plain").open("wb", buffering=0) as file:

        def synced(text: str) -> None:
            file.write(text.encode())
            os.fsync(file.fileno())

        lines = [one.model_dump_json() for one in made]
        yield "the disk alone: write and sync a line", a_second(lines, synced)


def whole(steps: int, count: int, folder: Path) -> str:
    """Run a session on nodes that answer at once; say what it took, and what was sent."""
    scheduler = AtOnce(steps, this_node("node-1"))
    names = [f"arm{number}" for number in range(max(1, count // ROUNDS * 3 // 4))]
    head = header(repeats=ROUNDS, arms=tuple(Arm(techniques=(name,)) for name in names))
    (folder / "run.json").write_text(head.model_dump_json())
    run = Folder(folder, head)
    arms = [Contrast(name, recipe(name), recipe(), "full") for name in names]
    with Nodes(scheduler, (), 60) as nodes:
        baseline: Any = None  # nothing is asked of it
        session = Session(run, nodes, baseline, recipe(), {}, Heard())
        begun = time.perf_counter()
        session.measure(arms)
        took = time.perf_counter() - begun - scheduler.seconds
    made, each = len(run.trials.records), scheduler.trials
    begun = time.perf_counter()
    compare_run(run.header, run.trials.records, ())
    look = time.perf_counter() - begun
    open_ = head.model_copy(update={"first": ROUNDS, "repeats": 30})
    begun = time.perf_counter()
    next_round(open_, run.trials.records, names, ROUNDS, rule_of(open_), "test", 0.0)
    decision = time.perf_counter() - begun
    run.close()
    return (
        f"{steps} steps: a trial sends {scheduler.sent / each:,.0f} B and brings back "
        f"{scheduler.brought / each:,.0f} B\n  {made:,} trials of {len(arms)} arms through a "
        f"session: {made / took:,.0f} a second; all compared once: {look:.2f} s; "
        f"a round decided: {decision:.2f} s"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=2000)
    count = parser.parse_args().trials
    for steps in STEPS:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            print(whole(steps, count, Path(folder)), flush=True)
        with tempfile.TemporaryDirectory(dir=".") as folder:
            for name, speed in parts(steps, count, Path(folder)):
                print(f"  {name:40s} {speed:10,.0f} trials a second", flush=True)


if __name__ == "__main__":
    main()
