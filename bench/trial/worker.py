"""Run one trial inside its own process, and send its measurement back as JSON."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from bench.machine.memory import (
    random_heap_offset,
)
from bench.trial.measure import observe
from bench.trial.spec import TrialSpec


def run(text: str, requested: float, results: Connection, lifeline: Connection) -> None:
    """Run the trial in `text` (JSON) and send its `Outcome`; the entry point of a new process."""
    trial = TrialSpec.model_validate_json(text)
    _detach(trial, lifeline)
    shift = random_heap_offset()
    outcome = observe(trial, requested)
    del shift
    results.send_bytes(outcome.model_dump_json().encode())
    results.close()


def _detach(trial: TrialSpec, lifeline: Connection) -> None:
    """Leave Ctrl-C to the run, die with it, and write to a log instead of its screen."""
    os.setpgid(0, 0)  # so that what this trial starts (compilers, loaders) can be ended with it
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()
    log = Path(trial.scratch) / "trial.log"
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _die_with(lifeline: Connection) -> None:
    """Wait, asleep, until the run's end of the pipe is closed; then end this whole trial."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os.killpg(0, signal.SIGKILL)
