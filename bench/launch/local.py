"""Start each trial in a fresh process, one at a time, from a fork server with torch imported.

The only place that launches processes. Whatever happens to a trial, a measurement comes back.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep
from types import FrameType, TracebackType

import psutil

import bench
from bench.errors import BenchError, shown
from bench.launch import entry
from bench.launch.environment import for_the_server
from bench.launch.temporary import choose_folder, mark_own_folder
from bench.machine.memory import kernel_kills
from bench.machine.processes import adopt_orphans, children, end_strangers, is_stopped
from bench.records.failures import LOG
from bench.records.measurement import Ending, Measurement, Status
from bench.trial import outcome
from bench.trial.spec import Outcome, TrialSpec

EXIT_SECONDS = 10.0
LOOK_SECONDS = 0.25
"""Between two looks at a trial: whether it stands still, whether its outcome is there."""
POLL_SECONDS = 0.05
STANDSTILL_SECONDS = 1.5
"""A look that comes so late was not made by a process that ran."""
PAUSE_SECONDS = 5.0
"""Nor was it by one that waited for its turn: the time of all stood still, and no limit runs."""
GRACE_SECONDS = 1.0
"""For what a trial has started to see that it is over."""


class Runner:
    """Owns the fork server; `run` blocks until the trial has ended, by itself or by its limit."""

    def __init__(
        self, preload: Iterable[str], timeout_seconds: float,
        laid: Mapping[str, Path] | None = None,
    ) -> None:  # fmt: skip
        """`laid` are folders, by arm, whose packages its trials import before all others.

        Where it is given, every trial is an interpreter of its own: what a fork server has
        imported no trial could import in another version.
        """
        self.timeout_seconds = timeout_seconds
        self._laid = laid
        self._context: ForkServerContext | SpawnContext = (
            multiprocessing.get_context("forkserver") if laid is None
            else multiprocessing.get_context("spawn")
        )  # fmt: skip
        self._context.set_forkserver_preload(["bench.trial.worker", *preload])
        self._interrupted = False

    def __enter__(self) -> Runner:
        """Start the fork server, which imports torch meanwhile."""
        choose_folder()
        mark_own_folder()  # at once: what is killed before leaves a folder that nobody sweeps up
        self._handler = signal.signal(signal.SIGINT, self._interrupt)
        self._interrupted = getattr(self._handler, "came", False)  # and lost by a library
        adopt_orphans()
        self._start_server()
        return self

    def _start_server(self) -> None:
        """Start the fork server, unless it runs: a trial may have ended it."""
        from multiprocessing import forkserver, resource_tracker

        resource_tracker.ensure_running()
        if self._laid is None:
            with _as_a_server():
                forkserver.ensure_running()

    def _start(self, process: BaseProcess, arm: str) -> None:
        """Start a trial's process; one that is spawned finds modules where this one does now."""
        if self._laid is None:
            with _uninterrupted():  # of half a request the server would print a traceback
                process.start()
            return
        folder = self._laid.get(arm)
        before = [*sys.path]
        sys.path[:0] = [str(folder)] if folder else []
        try:
            with _as_a_server():
                process.start()
        finally:
            sys.path[:] = before

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the fork server to end with this process, at once after an error.

        No trial outlives `run`.
        """
        signal.signal(signal.SIGINT, self._handler)
        adopt_orphans(False)
        if kind is not None:
            _end_servers()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        # Python only prints what is raised in a finaliser: remembered, it can't get lost there
        self._interrupted = True
        raise KeyboardInterrupt

    def run(self, trial: TrialSpec) -> Outcome:
        """Run one trial; on an interrupt, end it before passing the interrupt on."""
        if self._interrupted:
            raise KeyboardInterrupt
        self._start_server()
        asked = _Asked(trial, monotonic(), datetime.now(UTC), kernel_kills())
        outcome.path_of(trial).unlink(missing_ok=True)
        their_end, lifeline = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=entry.enter, args=(trial.model_dump_json(), asked.at, their_end)
        )
        known, left = children(), tuple[str, ...]()
        try:
            self._start(process, trial.arm)
            their_end.close()
            watched = self._watch(process, trial)
        finally:
            if process.pid is not None:
                _end(process)
            lifeline.close()
            left = end_strangers(known, GRACE_SECONDS)
        found = _received(asked, watched, process.exitcode)
        seen = {
            "wall_seconds": monotonic() - asked.at,
            "stopped_seconds": watched.stopped_seconds,
            "left_processes": left,
        }
        measured = found.measurement.model_copy(update=seen)
        return found.model_copy(update={"measurement": measured})

    def _watch(self, process: BaseProcess, trial: TrialSpec) -> _Watched:
        """Look at a trial now and then, until it has ended, has left its outcome, or is too late.

        What stands still together with this process (a suspended machine, a paused container)
        stands still too, and its limit with it; a trial that is stopped alone is not waited for.
        """
        begun = last = monotonic()
        stopped, paused, path = 0.0, 0.0, outcome.path_of(trial)
        most = min(trial.timeout_seconds or math.inf, self.timeout_seconds)
        while (spent := monotonic() - begun - paused) < most:
            left = most - spent
            if self._has_ended(process, min(LOOK_SECONDS, left)):
                return _Watched(stopped)
            if path.exists():
                process.join(EXIT_SECONDS)
                return _Watched(stopped)
            now = monotonic()
            is_late = now - last > STANDSTILL_SECONDS
            if now - last > PAUSE_SECONDS:
                paused += now - last
            if is_late or is_stopped(process.pid or 0):
                stopped += now - last
            last = now
        option = " (--trial-timeout)" if most == self.timeout_seconds else ""
        alone = round(stopped - paused)
        still = f", {alone} s of it stopped" if alone else ""
        return _Watched(stopped, f"no result after {most:g} s{option}{still}")

    def _has_ended(self, process: BaseProcess, seconds: float) -> bool:
        """Wait so long for a trial's end; one that is spawned closes the pipe that tells of it."""
        if self._laid is None:
            return bool(wait([process.sentinel], timeout=seconds))
        late = monotonic() + seconds
        while process.exitcode is None and monotonic() < late:
            sleep(POLL_SECONDS)
        return process.exitcode is not None


@contextmanager
def _as_a_server() -> Iterator[None]:
    """Start what never sees Ctrl-C, with the variables of a fork server."""
    with _uninterrupted(), for_the_server():  # what is started takes that over
        yield


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let an interrupt wait until the end of a block."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@dataclass(frozen=True, slots=True)
class _Asked:
    """A trial that was asked for: when, by the monotonic clock and by the calendar."""

    trial: TrialSpec
    at: float
    started: datetime
    kills: int | None


@dataclass(frozen=True, slots=True)
class _Watched:
    """What was seen of a trial from outside."""

    stopped_seconds: float
    late: str | None = None


def _received(asked: _Asked, watched: _Watched, code: int | None) -> Outcome:
    """Return what a trial left, or say how it was lost."""
    status, reason = Status.FAILED, f"the trial's process ended with code {code}"
    if code == 0:
        reason += ", left by its own code (os._exit, or a fork that goes on without it)"
    try:
        if found := outcome.receive(asked.trial):
            return _ours(found)
    except outcome.Unreadable as error:
        return _lost(asked, Status.FAILED, str(error))
    if watched.late:
        return _lost(asked, Status.TIMED_OUT, f"{watched.late}; it was killed")
    if code is not None and code < 0:
        reason = f"the trial's process was killed by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL and (kernel_kills() or 0) > (asked.kills or 0):
            status, reason = Status.OUT_OF_MEMORY, "the kernel killed it for want of memory"
    elif tail := _last_line(Path(asked.trial.scratch) / LOG):
        reason += f": {tail}"
    return _lost(asked, status, shown(reason))


def _lost(asked: _Asked, status: Status, reason: str) -> Outcome:
    started = asked.started.isoformat(timespec="milliseconds")
    ending = Ending(status=status, reason=reason, started=started)
    return Outcome(measurement=Measurement.of(asked.trial.identity, ending))


def _ours(outcome: Outcome) -> Outcome:
    """Refuse what another bench than this run's has measured."""
    home = str(Path(bench.__file__).parent)
    if outcome.home != home:
        raise BenchError(
            f"a trial ran bench from {outcome.home or 'elsewhere'}, the run from {home}: take the "
            "other out of PYTHONPATH, or uninstall it"
        )
    return outcome


def _end_servers() -> None:
    """End a fork server that may still be importing, for seconds, what no trial will use."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if "multiprocessing.forkserver" in " ".join(child.cmdline()):
                child.kill()
                # seen as ended, and left to multiprocessing to take notice of
                os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def _end(process: BaseProcess) -> None:
    """End a trial's process and all that it started, if it still runs."""
    if process.is_alive() and process.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()  # it may not have made its group yet
    process.join()


def _last_line(path: Path) -> str | None:
    if not path.exists():
        return None
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else None
