"""What goes to a node and what comes back: a block of trials, and their outcomes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench.records.failures import LOG
from bench.records.schema import Record
from bench.trial.spec import Outcome, TrialSpec


class Task(Record):
    """Trials that run back to back on one node, and what must be so there."""

    trials: tuple[TrialSpec, ...]
    preload: tuple[str, ...]
    timeout_seconds: float
    folder: str
    """Where the run was started: relative paths begin there on every node."""
    code_sha256: str
    """Of trainpairs itself."""
    versions: dict[str, str | None]
    """Of Python and torch."""
    node: str | None = None
    """What its scheduler calls the node; None: what it calls itself."""


class Answer(Record):
    """What came of a task."""

    outcomes: tuple[Outcome, ...] = ()
    logs: dict[str, str] = {}
    """What trials that failed said, by arm."""
    refused: str | None = None
    """What on the node differs from what the run needs; the user mends it."""

    def leave_log(self, arm: str, scratch: Path) -> None:
        """Leave what a failed trial said where a trial of this machine would have left it."""
        log = scratch / LOG
        if arm in self.logs:
            log.write_text(self.logs[arm], encoding="utf-8")
        else:
            log.unlink(missing_ok=True)  # another trial's


class Lost(Exception):  # noqa: N818 - what is seen of a node, not a malfunction of ours
    """A task ended without an answer; the message says how."""


def answered(text: str) -> str:
    """Do a task (JSON) in an interpreter of its own on this machine; return its answer (JSON).

    Whatever ends this process ends that too: its standard input is closed then. Raises `Lost`.
    """
    words = [sys.executable, "-P", "-m", "bench.launch.node"]
    with (
        tempfile.TemporaryFile("w+", errors="replace") as said,
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{text}\n")
        process.stdin.flush()
        answer = process.stdout.read()
        if process.wait() == 0:
            return answer
        said.seek(0)
        last = (said.read().strip() or "it said nothing").splitlines()[-1]
    raise Lost(f"its process ended with code {process.returncode}: {last[:200]}")
