"""Run one trial inside its own process, cut off from the run, and leave its outcome in a file."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import process, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.machine.memory import random_heap_offset
from bench.machine.processes import adopt_orphans, end_descendants
from bench.records.failures import LOG
from bench.trial import outcome
from bench.trial.measure import observe
from bench.trial.spec import Outcome, TrialSpec

STANDARD_ERROR = 2
Observe = Callable[[TrialSpec, float], Outcome]
"""Measures a trial that was asked for at a time."""


def run(text: str, requested: float, lifeline: Connection, observe: Observe = observe) -> None:
    """Run the trial in `text` (JSON) and leave its `Outcome`; the entry point of a new process.

    `requested` is when it was asked for, on the monotonic clock that all processes share.
    """
    trial, own = TrialSpec.model_validate_json(text), os.getpid()
    _detach(trial, lifeline)
    offset = random_heap_offset()
    found = observe(trial, requested)
    del offset
    if os.getpid() != own:
        os._exit(0)  # a copy that the user's code has made of this process, and let return
    outcome.send(found, outcome.path_of(trial))


def _detach(trial: TrialSpec, lifeline: Connection) -> None:
    """Leave Ctrl-C to the run, die with it, and share nothing with it that could be written to.

    What is started in here starts as it would in a plain script on this platform.
    """
    os.setsid()  # what this trial starts can be ended with it, and no terminal be asked for input
    adopt_orphans()
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()
    _close_what_can_be_written()
    log = Path(trial.scratch) / LOG
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    multiprocessing.set_start_method(None, force=True)  # the user's code may still choose one
    own: Any = multiprocessing.current_process()
    own.name, own._identity = "MainProcess", ()  # as code asks that is to run only there
    vars(process)["_parent_process"] = None


def _close_what_can_be_written() -> None:
    """Close the pipes to the fork server and to the resource tracker, which others rely on."""
    for handle in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        with contextlib.suppress(OSError):  # the folder's own handle is gone again
            flags = fcntl.fcntl(handle, fcntl.F_GETFL)
            if handle > STANDARD_ERROR and flags & os.O_ACCMODE == os.O_WRONLY:
                os.close(handle)
    tracker: Any = resource_tracker._resource_tracker
    tracker._fd = None  # one of its own is started where it is needed


def _die_with(lifeline: Connection) -> None:
    """Wait, asleep, until the run's end of the pipe is closed; then end this whole trial."""
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    end_descendants()
    os.killpg(0, signal.SIGKILL)
