"""Run trials, compare them once, write and print the report."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from bench.cli.output import columns, tell
from bench.errors import BenchError

if TYPE_CHECKING:
    import reports
    from bench.cli.progress import NoProgress
    from bench.records.header import Header
    from bench.records.measurement import Measurement
    from bench.records.run_folder import Folder
    from bench.run.request import Request, Resumption
    from bench.run.session import Session

EVENTS = "tensorboard"
TRACKERS = ("mlflow", "wandb", EVENTS)
"""What runs are logged to: event files between trials, the others when the run is over."""
PAUSE, SHARE = 5.0, 0.02
"""Seconds between two writings of a report while its run goes on, and how much of a run's time they
may take."""


def check(log: Sequence[str]) -> None:
    """Raise `BenchError` where a run is to be logged to what is unknown, or not installed."""
    for name in log:
        if name not in TRACKERS:
            raise BenchError(f"--log {name}: there are {', '.join(TRACKERS)}")
        if find_spec(name) is None:
            raise BenchError(
                f"--log {name} needs the package {name}: pip install 'trainpairs[{name}]'"
            )


def execute(
    asked: Request | Resumption, quiet: bool, as_json: bool = False, log: Sequence[str] = ()
) -> None:
    """Run, compare, export, report, print, and log to the trackers named.

    Exits with 0; with 1 where a claim is verified and is broken, or a revision has regressed; with
    3 where an arm gave nothing, or what was asked can't be told.
    """
    import reports

    run, code = measured(asked, quiet or as_json, EVENTS in log)
    if run is not None:
        tell(reports.render("json", run) if as_json else reports.summary(run, columns()), end="")
        _log(run, log)
    raise typer.Exit(code)


def _log(run: reports.Run, log: Sequence[str]) -> None:
    """Log a run that is over, its report written: of a tracker only its import takes seconds."""
    from reports.trackers import TRACKERS as LOGGED

    for name in log:
        if name in LOGGED:
            LOGGED[name](run)


def measured(
    asked: Request | Resumption, quiet: bool, tensorboard: bool = False,
    begun: Callable[[Header], None] | None = None,
) -> tuple[reports.Run | None, int]:  # fmt: skip
    """Run, compare, export, write reports; return what is shown, and the exit code.

    An interrupt keeps what has finished and says how to go on. `begun` is told of the run before
    its first trial.
    """
    import reports
    from bench.cli import progress, step_summary
    from bench.run.modes import MODES
    from bench.run.opening import opened

    with (
        progress.choose(quiet) as display,
        opened(asked, Reporter(display, tensorboard)) as session,
    ):
        if begun is not None:
            begun(session.header)
        try:
            MODES[session.header.mode](session)
            run: reports.Run | None = conclude(session, tensorboard)
            code = _exit_code(run) if run else 0
        except KeyboardInterrupt:
            run, code = _kept(session, display, tensorboard), 3
    if run is not None:
        step_summary.write(reports.render("md", replace(run, drawn=False)))
    return run, code


class Reporter:
    """Shows a run's progress, and writes its report between trials: never while one is timed."""

    def __init__(self, display: NoProgress, tensorboard: bool) -> None:
        self._display, self._tensorboard = display, tensorboard
        self._due = time.monotonic() + PAUSE
        self.expect, self.begin, self.note = display.expect, display.begin, display.note

    def opened(self, folder: Folder) -> None:
        """Know where the records lie that reports are written from."""
        self._folder = folder
        self._display.opened(folder)

    def done(self, record: Measurement) -> None:
        """Show how a trial ended; now and then write the report."""
        self._display.done(record)
        if record.pair >= 0 and record.ok and time.monotonic() > self._due:
            with _uninterrupted():
                self._due = self._write()

    def _write(self) -> float:
        """Return when the report is due again: never where it can't be written, records count."""
        import reports

        begun = time.monotonic()
        try:
            run = _write_report(_read(self._folder), self._tensorboard)
        except BenchError as error:
            self.note(str(error))
            return math.inf
        self._display.best(reports.best_so_far(run))
        now = time.monotonic()
        return now + max(PAUSE, (now - begun) / SHARE)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay an interrupt to the block's end: a library that it half imports stays broken."""
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came:
        signal.raise_signal(signal.SIGINT)


def _kept(session: Session, display: NoProgress, tensorboard: bool) -> reports.Run | None:
    """Report what an interrupted run has finished; None where that can't be written."""
    path = session.folder.path
    display.note(f"interrupted; what finished is kept: {session.header.resuming} {path}")
    try:
        return conclude(session, tensorboard)
    except BenchError as error:
        display.note(str(error))
        return None


def conclude(session: Session, tensorboard: bool) -> reports.Run:
    """Compare once; export and write the report by what was found."""
    from bench.run.export import export

    run = _read(session.folder)
    if session.header.mode in ("combine", "full-optimization"):
        run = replace(run, exported=export(session, run.comparison) is not None)
    return _write_report(run, tensorboard)


def _read(folder: Folder) -> reports.Run:
    """Judge an open folder's records, which are in memory already."""
    import reports

    return reports.made(folder.path, folder.header, folder.trials.records, folder.probes.records)


def _write_report(run: reports.Run, tensorboard: bool) -> reports.Run:
    """Write everything that shows a run; return it as it is shown."""
    import reports
    from bench.records.files import write_text

    path = run.path
    try:
        if tensorboard:
            reports.write_events(run, path / "tensorboard")
        run = replace(run, drawn=reports.write_pictures(run, path / "plots"))
        for format in ("md", "html"):
            write_text(path / f"report.{format}", reports.render(format, run))
    except (OSError, BenchError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BenchError(
            f"can't write the report of {path}: {why}; its records are whole: bench report {path}"
        ) from None
    return run


def _exit_code(run: reports.Run) -> int:
    from bench.analysis.proof import Proof
    from bench.analysis.revised import Answer
    from bench.records.measurement import BASELINE
    from reports import undone

    if run.judged is not None:
        return {Proof.HOLDS: 0, Proof.BROKEN: 1, Proof.OPEN: 3}[run.judged.answer]
    if run.revised is not None:
        return {Answer.REGRESSED: 1, Answer.OPEN: 3}.get(run.revised.answer, 0)
    nothing = not run.of(BASELINE) and undone.unfinished(run) is not None
    return 0 if run.comparison.complete and not nothing else 3
