"""Start each trial in a fresh process, one at a time, from a fork server with torch imported.

The only place that launches processes. Whatever happens to a trial, a measurement comes back.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.util import get_temp_dir
from pathlib import Path
from types import FrameType, TracebackType

import psutil

import bench
from bench.errors import BenchError
from bench.machine.environment import QUIET_THREADS
from bench.machine.memory import kernel_kills
from bench.recipes.own_packages import HOME
from bench.records.measurement import Measurement, Status
from bench.trial import entry
from bench.trial.spec import Outcome, TrialSpec

EXIT_SECONDS = 10.0
SHORT_FOLDER = "/tmp"
LONGEST_FOLDER = 70
"""Bytes of a temporary folder's path that leave room for the name of a socket in it."""


class Runner:
    """Owns the fork server; `run` blocks until the trial has ended, by itself or by its limit."""

    def __init__(self, preload: Iterable[str], timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["bench.trial.worker", *preload])
        self._interrupted = False

    def __enter__(self) -> Runner:
        """Start the fork server, which imports torch meanwhile."""
        from multiprocessing import forkserver, resource_tracker

        _choose_temporary_folder()
        self._handler = signal.signal(signal.SIGINT, self._interrupt)
        self._interrupted = getattr(self._handler, "came", False)  # and lost by a library
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which the server takes over
        try:
            with _environment(_variables()):
                forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return self

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
        requested, kills = time.time(), kernel_kills()
        reader, writer = self._context.Pipe(duplex=False)
        their_end, lifeline = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=entry.enter,
            args=(trial.model_dump_json(), requested, writer, their_end),
        )
        process.start()
        writer.close()
        their_end.close()
        try:
            text = self._receive(reader, process.sentinel)
            if text is not None:
                process.join(EXIT_SECONDS)
                return _ours(Outcome.model_validate_json(text))
            timed_out = process.is_alive()
        finally:
            _end(process)
            lifeline.close()
            reader.close()
        return self._lost(trial, requested, process.exitcode, timed_out, kills)

    def _receive(self, reader: Connection, sentinel: int) -> bytes | None:
        """Return what the trial sent; None when it died or its time is up."""
        deadline = time.monotonic() + self.timeout_seconds
        ready = wait([reader, sentinel], timeout=self.timeout_seconds)
        if not ready or not reader.poll(0.0):
            return None
        try:
            return bytes(reader.recv_bytes())
        except EOFError:
            wait([sentinel], timeout=max(0.0, deadline - time.monotonic()))
            return None

    def _lost(
        self,
        trial: TrialSpec,
        requested: float,
        code: int | None,
        timed_out: bool,
        kills: int | None,
    ) -> Outcome:
        status, reason = Status.FAILED, f"the trial's process ended with code {code}"
        if timed_out:
            status = Status.TIMED_OUT
            reason = f"no result after {self.timeout_seconds:g} s (--trial-timeout); it was killed"
        elif code is not None and code < 0:
            reason = f"the trial's process was killed by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL and kills is not None and (kernel_kills() or 0) > kills:
                status, reason = Status.OUT_OF_MEMORY, "the kernel killed it for want of memory"
        elif tail := _last_line(Path(trial.scratch) / "trial.log"):
            reason += f": {tail}"
        return Outcome(
            measurement=Measurement(
                arm=trial.arm,
                pair=trial.pair,
                seed=trial.seed,
                kind=trial.kind,
                stage=trial.stage,
                device=trial.device,
                threads=trial.threads,
                status=status,
                reason=reason,
                recipe=trial.recipe.model_dump(mode="json"),
                started=datetime.fromtimestamp(requested, UTC).isoformat(timespec="milliseconds"),
                wall_seconds=time.time() - requested,
            )
        )


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for as long as the block lasts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _variables() -> dict[str, str]:
    """Return what the fork server finds set: what is quiet, and where libraries are taken from.

    Nothing comes from the current folder, and trainbench's packages come before others of the same
    names in PYTHONPATH.
    """
    quiet = {name: value for name, value in QUIET_THREADS.items() if name not in os.environ}
    path = os.environ.get("PYTHONPATH")
    ours = {"PYTHONPATH": os.pathsep.join([str(HOME), path])} if path else {}
    return {**quiet, **ours, "PYTHONSAFEPATH": "1"}


def _choose_temporary_folder() -> None:
    """Let sockets lie in a folder whose path leaves room for their names."""
    before = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_FOLDER:
        tempfile.tempdir = SHORT_FOLDER
    try:
        get_temp_dir()  # multiprocessing makes it once, and keeps to it
    except OSError as error:
        raise BenchError(
            f"can't make a folder in {tempfile.gettempdir()}: {error.strerror}; set TMPDIR"
        ) from None
    finally:
        tempfile.tempdir = before


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
