"""Runs that are killed again and again, and resumed: is a trial ever lost, or measured twice?

Run by hand: ``python -m tests.benchmarks.bench_kills [--kills 200] [--seed 0]``. Target: 0 lost, 0
doubled, nothing left. A run of the template is killed with SIGKILL at a random moment, before
or after it has measured something more, in half of the cases the parent alone, and resumed until it
ends; then the next one begins. What it has to hold
in the end is what a run that nobody killed holds.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.cli.processes import BENCH, environment, wait_for

MARK = "BENCH_KILLS"
MODEL = ("--baseline", "model.py:MyModel", "--epochs", "1", "--set", "hidden=8", "--threads", "1")
TESTED = ("--test", "ema", "fused-optimizer", "--repeats", "3")
MOST_MORE = 4
"""Trials that a run may measure before it is killed."""
LIMIT = 600.0
Key = tuple[int, str, int, int]


@dataclass
class Killed:
    """A folder in which runs are killed, and what became of them."""

    folder: Path
    seed: int
    start: float = 0.0
    """Seconds to the first trial of a run that nobody kills."""
    trial: float = 0.0
    """Seconds of one of its trials, with what lies between them."""
    plan: frozenset[Key] = frozenset()
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the model and the folders that a run uses."""
        self.mark = uuid.uuid4().hex
        self.random = random.Random(self.seed)
        (self.folder / "tmp").mkdir()
        subprocess.run([BENCH, "init", "model.py"], cwd=self.folder, check=True)

    def learn(self) -> None:
        """Let one run come to its end, to know what any of them must hold."""
        begun = time.monotonic()
        process = self.started()
        wait_for(lambda: self._measured() > 0, LIMIT)
        self.start = time.monotonic() - begun
        process.communicate()
        (run,) = self.runs()
        self.plan = frozenset(keys(journal(run)))
        self.trial = (time.monotonic() - begun - self.start) / len(self.plan)
        self.counts["trials"] += len(self.plan)

    def started(self, run: Path | None = None) -> subprocess.Popen[str]:
        """Begin a run, or go on with one."""
        what = (*MODEL, *TESTED) if run is None else ("--resume", str(run))
        places = {"TMPDIR": "tmp", "XDG_CACHE_HOME": "cache"}
        changes = {name: str(self.folder / place) for name, place in places.items()}
        return subprocess.Popen(
            [BENCH, *what, "--quiet"], cwd=self.folder,
            env=environment(**changes, **{MARK: self.mark}),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def runs(self) -> set[Path]:
        """Return the run folders so far."""
        return {path.parent for path in (self.folder / "results").glob("*/run.json")}

    def to_the_end(self, kills: int) -> int:
        """Kill one run until it ends, or so many kills are made; return how many were."""
        made, run, before, known = 0, None, b"", self.runs()
        while True:
            process = self.started(run)
            ended = self._ends(process) if made < kills else self._waited(process)
            if run is None:
                run = next(iter(self.runs() - known), None)
            if run is not None:
                before = self._grown(run, before)
            if ended:
                self._check_end(process, run)
                return made
            made += 1
            self.counts["kills"] += 1
            self.counts["resumes"] += run is not None

    def _waited(self, process: subprocess.Popen[str]) -> bool:
        process.wait()
        return True

    def _ends(self, process: subprocess.Popen[str]) -> bool:
        """Kill a run at a random moment; tell whether it had ended by then."""
        moment, known = self.random.random() * self.start, self._measured()
        if late := self.random.random() < 0.5:
            moment, more = self.random.random() * self.trial, self.random.randint(1, MOST_MORE)
            wait_for(lambda: process.poll() is not None or self._measured() >= known + more, LIMIT)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            self.counts["late"] += late
            self._kill(process, alone=self.counts["kills"] % 2 == 0)
            return False
        return True

    def _measured(self) -> int:
        """Return how many trials all journals hold."""
        return sum(journal(run).count(b"\n") for run in self.runs())

    def _kill(self, process: subprocess.Popen[str], alone: bool) -> None:
        """Kill a run, with all that it has started or alone; what is left must end by itself."""
        others = [] if alone else psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for other in others:
            if other.is_running():
                other.kill()
        process.communicate()
        self.counts["alone"] += alone
        try:
            wait_for(lambda: not [*marked(self.mark)], 20)
        except AssertionError:
            self.wrong.append(f"left running: {[p.cmdline() for p in marked(self.mark)]}")

    def _grown(self, run: Path, before: bytes) -> bytes:
        """Check that a journal has only grown, by whole lines; return these."""
        now = journal(run)
        lines = zip(before.splitlines(), now.splitlines(), strict=False)
        self.counts["lost"] += before.count(b"\n") - sum(old == new for old, new in lines)
        self.counts["doubled"] += len(keys(now)) - len({*keys(now)})
        return now

    def _check_end(self, process: subprocess.Popen[str], run: Path | None) -> None:
        """Compare what a run holds in the end with the plan."""
        errors = process.stderr.read() if process.stderr else ""
        if process.returncode or run is None:
            self.wrong.append(f"ended with {process.returncode}: {errors}")
            return
        found = {key[:3] for key in keys(journal(run))}
        planned = {key[:3] for key in self.plan}
        self.counts["trials"] += len(found)
        self.counts["lost"] += len(planned - found)
        self.counts["doubled"] += len(found - planned)
        self.counts["runs"] += 1
        if left := [*(self.folder / "tmp").glob("pymp-*"), *run.glob("scratch")]:
            self.wrong.append(f"left behind: {left}")


def journal(run: Path) -> bytes:
    """Return the whole lines of a run's journal: a torn last one is no trial yet."""
    path = run / "trials.jsonl"
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def keys(lines: bytes) -> list[Key]:
    """Return what names each trial: pair, arm, seed, and how often it was disturbed before."""
    records = [json.loads(line) for line in lines.splitlines()]
    return [(r["pair"], r["arm"], r["seed"], r["attempt"]) for r in records]


def marked(mark: str) -> Iterator[psutil.Process]:
    """Yield the processes that a run has started and that still run."""
    for process in psutil.process_iter(["environ", "status"]):
        ended = process.info["status"] == psutil.STATUS_ZOMBIE
        if not ended and (process.info["environ"] or {}).get(MARK) == mark:
            yield process


def main() -> None:
    """Kill as often as asked, and print what was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        killed = Killed(Path(folder), asked.seed)
        killed.learn()
        while killed.counts["kills"] < asked.kills:
            killed.to_the_end(asked.kills - killed.counts["kills"])
            print(told(killed), flush=True)
    for line in killed.wrong:
        print(line)


def told(killed: Killed) -> str:
    """Return one line of what was counted so far."""
    names = ("runs", "kills", "late", "alone", "resumes", "trials", "lost", "doubled")
    counted = ", ".join(f"{name} {killed.counts[name]}" for name in names)
    return f"{counted}, wrong {len(killed.wrong)}"


if __name__ == "__main__":
    main()
