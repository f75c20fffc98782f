"""How often `bench ab` is right about real commits: a repository is made, and its commits compared.

Run it by hand, on a quiet machine: ``python -m tests.benchmarks.bench_ab_real FOLDER [--runs 20]
[--others 2]``. So many runs of a commit that changes nothing, in turn with as many of one that
makes training a tenth slower; of each other kind so many: a loss of quality, a crash, a setting
that one commit doesn't know. Every fourth run is killed with SIGKILL within its trials, and
resumed. What was answered stands in FOLDER: called again, it goes on.

Target: none of 20 unchanged ones regressed, at least 19 of 20 slower ones found, all others right,
the repository as it was after each; 20 and 20 within 12 minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from tests.cli.processes import BENCH, Done, environment, wait_for
from tests.cli.repository import git, state

FILE = "net.py"
NET = Path(__file__).with_name("revised_net.py")
CHANGES = {
    "unchanged": ("WIDE, BATCH = 8192", "WIDE, BATCH = 2**13"),
    "slower": ("ROUNDS, WASTED = 40, 0", "ROUNDS, WASTED = 40, 4"),
    "worse": ("lr=settings.rate", "lr=0.0"),
    "crashes": ("fixed = torch", 'raise RuntimeError("planted")\n        fixed = torch'),
    "unknown": ("rate", "speed"),
}
"""What each commit makes of the first one's text; the last renames a setting."""
MEASURED = ("--baseline", f"{FILE}:Net", "--threads", "1", "--set", "rate=0.5")
CODES = {"unchanged": 0, "slower": 1, "worse": 1, "crashes": 1, "unknown": 2}
BLAMED = {"slower": ["time"], "worse": ["accuracy"]}
"""What is found to be worse, beyond its limit."""
KILL_EVERY, MOST_BEFORE = 4, 12
FOUND = 0.95
LIMIT = 600.0
Answer = dict[str, Any]


@dataclass(frozen=True)
class Compared:
    """A folder with the repository, the runs, and a line of each answer."""

    folder: Path
    seed: int = 0

    @property
    def answers(self) -> list[Answer]:
        """Return what was answered so far."""
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_text().splitlines()]

    @property
    def _file(self) -> Path:
        return self.folder / "answers.jsonl"

    @property
    def temporary(self) -> Path:
        """Return where commits are checked out."""
        return self.folder / "tmp"

    @cached_property
    def repository(self) -> Path:
        """Return the repository, made where it is not there: a tag for the base and each change."""
        place = self.folder / "repository"
        if not (place / ".git").exists():
            self.temporary.mkdir(parents=True)
            place.mkdir()
            git(place, "init", "--quiet", "--initial-branch=main")
            for name, text in ((name, changed(name)) for name in ("base", *CHANGES)):
                (place / FILE).write_text(text)
                git(place, "add", ".")
                git(place, "commit", "--quiet", "--message", name)
                git(place, "tag", name)
            git(place, "checkout", "--quiet", "base")
        return place

    def ask(self, kind: str, number: int) -> Answer:
        """Compare a commit with the base, once; keep what is answered, and return it."""
        before, begun = state(self.repository, self.temporary), time.monotonic()
        output = self.folder / "runs" / f"{kind}-{number:02}"
        own = (*MEASURED, "--seed", str(1000 * number + self.seed))
        words: tuple[str, ...] = ("ab", "base", kind, "--output", str(output), "--", *own)
        kills = number % KILL_EVERY == 0 and kind in ("unchanged", *BLAMED)
        killed = not runs_in(output) and kills and self._kill(words, output, f"{kind}{number}")
        run = next(iter(runs_in(output)), None)
        words = ("ab", "--resume", str(run)) if run else words
        at = words.index("--") if "--" in words else len(words)
        done = self._bench(*words[:at], "--json", *words[at:])
        found = {
            "kind": kind, "number": number, "code": done.returncode, "killed": killed,
            "resumed": run is not None, "seconds": time.monotonic() - begun,
            "untouched": state(self.repository, self.temporary) == before,
            **(said(json.loads(done.stdout)) if done.stdout else {"reason": done.stderr.strip()}),
        }  # fmt: skip
        with self._file.open("a") as file:
            file.write(json.dumps(found) + "\n")
        return found

    def _bench(self, *words: str) -> Done:
        return subprocess.run(
            [BENCH, *words], cwd=self.repository, env=environment(TMPDIR=str(self.temporary)),
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def _kill(self, words: Iterable[str], output: Path, name: str) -> bool:
        """Start a run, and kill it after a few trials; tell whether it had not ended by itself."""
        trials = random.Random(f"{self.seed}/{name}").randint(1, MOST_BEFORE)
        process = subprocess.Popen(
            [BENCH, *words], cwd=self.repository, env=environment(TMPDIR=str(self.temporary)),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for(lambda: process.poll() is not None or trials_in(output) >= trials, LIMIT)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def changed(name: str) -> str:
    """Return the model's file at a commit."""
    text = NET.read_text()
    old, new = CHANGES.get(name, ("", ""))
    if old not in text:
        raise AssertionError(f"{NET} no longer holds {old!r}")
    return text.replace(old, new) if old else text


def runs_in(output: Path) -> list[Path]:
    """Return the run folders in an output folder."""
    return [file.parent for file in output.glob("*/run.json")]


def trials_in(output: Path) -> int:
    """Return how many trials runs have written."""
    return sum(file.read_bytes().count(b"\n") for file in output.glob("*/trials.jsonl"))


def said(report: dict[str, Any]) -> Answer:
    """Return what of a report is kept."""
    found = report["revisions"]
    rows = found["worse"]
    time_worse = rows["time"]["worse"] if "time" in rows else None
    return {
        "answer": found["answer"], "confirmed": found["confirmed"], "pairs": found["pairs"],
        "reason": found["reason"], "slower": time_worse[1] if time_worse else None,
        "blamed": [name for name, row in rows.items() if row["answer"] == "regressed"],
    }  # fmt: skip


def is_right(answer: Answer) -> bool:
    """Tell whether an answer is what was planted."""
    kind = answer["kind"]
    if answer["code"] != CODES[kind]:
        return False
    if kind in BLAMED:
        return bool(answer["blamed"] == BLAMED[kind])
    told = {"crashes": "RuntimeError: planted", "unknown": 'no setting "rate"'}.get(kind, "")
    return told in (answer["reason"] or "")


def table(answers: list[Answer]) -> Iterator[str]:
    """Yield a line of each kind."""
    yield "kind       runs right regressed not told  pairs  time of head  seconds  killed"
    for kind in CHANGES:
        own = [answer for answer in answers if answer["kind"] == kind]
        if not own:
            continue
        codes = [answer["code"] for answer in own]
        pairs = [answer["pairs"] for answer in own if answer.get("pairs")]
        slower = [answer["slower"] for answer in own if answer.get("slower") is not None]
        yield (
            f"{kind:10} {len(own):4} {sum(map(is_right, own)):5} {codes.count(1):9} "
            f"{codes.count(3):8} {median(pairs) if pairs else '-':>6} "
            f"{f'{median(slower):+.1%}' if slower else '-':>13} "
            f"{sum(answer['seconds'] for answer in own):8.0f} "
            f"{sum(answer['killed'] for answer in own):7}"
        )


def missed(answers: list[Answer]) -> Iterator[str]:
    """Yield what is not as it is asked for."""
    by_kind = {kind: [a for a in answers if a["kind"] == kind] for kind in CHANGES}
    if alarms := sum(answer["code"] == 1 for answer in by_kind["unchanged"]):
        yield f"{alarms} false alarms"
    if sum(map(is_right, by_kind["slower"])) < FOUND * len(by_kind["slower"]):
        yield "too few of the slower ones were found"
    for kind in ("worse", "crashes", "unknown"):
        yield from (f"{kind}: {answer}" for answer in by_kind[kind] if not is_right(answer))
    yield from (f"the repository was touched: {a}" for a in answers if not a["untouched"])


def main() -> None:
    """Compare as often as asked, and print what was answered."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--others", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    compared = Compared(asked.folder.resolve(), asked.seed)
    known = {(answer["kind"], answer["number"]) for answer in compared.answers}
    for number in range(max(asked.runs, asked.others)):
        for kind in CHANGES:
            most = asked.runs if kind in ("unchanged", "slower") else asked.others
            if number < most and (kind, number) not in known:
                found = compared.ask(kind, number)
                mark = "" if is_right(found) else "  <- not what was planted"
                print(f"{kind} {number}: {found.get('answer', found['code'])}, "
                      f"{found['seconds']:.0f} s{mark}", flush=True)  # fmt: skip
    print(*table(compared.answers), sep="\n")
    wrong = [*missed(compared.answers)]
    print(*wrong, sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
