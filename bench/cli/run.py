"""Run trials, compare them once, write and print the report."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench.cli.output import tell
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.analysis.results import Comparison
    from bench.records.measurement import Measurement
    from bench.run.request import Request
    from bench.run.session import Observer, Session

PAUSE = 5.0
"""Seconds between two writings of a report while its run goes on."""


def check(tensorboard: bool) -> None:
    """Raise `BenchError` where event files are asked for and can't be written."""
    if tensorboard and find_spec("tensorboard") is None:
        raise BenchError(
            "--tensorboard needs the package tensorboard: pip install 'trainbench[tensorboard]'"
        )


def execute(
    open_: Any, asked: Request | Path, quiet: bool, as_json: bool = False, tensorboard: bool = False
) -> None:
    """Run, compare, report, export; an interrupt keeps what has finished and says how to go on.

    Exits with 0; with 1 where a claim is verified and is broken; with 3 where an arm gave
    nothing, or a claim can't be told.
    """
    from bench.analysis.claims import judged
    from bench.analysis.proof import Proof
    from bench.cli import progress
    from bench.run import start

    with progress.choose(quiet or as_json) as show_, open_(asked, show_) as session:
        session.show = _Live(show_, session.folder.path, tensorboard)
        try:
            start.execute(session)
        except KeyboardInterrupt:
            path = session.folder.path
            try:
                _conclude(session, tensorboard)
            except BenchError as error:
                show_.note(str(error))
            show_.note(f"interrupted; what finished is kept: bench --resume {path}")
            raise typer.Exit(3) from None
        comparison = _conclude(session, tensorboard)
    _print(session.folder.path, as_json)
    if session.header.claim:
        answer = judged(session.header.claim, comparison, session.records).answer
        raise typer.Exit({Proof.HOLDS: 0, Proof.BROKEN: 1, Proof.OPEN: 3}[answer])
    raise typer.Exit(0 if comparison.complete else 3)


class _Live:
    """Writes the report so far, with its curves, between trials: never while one is timed."""

    def __init__(self, show: Observer, path: Path, tensorboard: bool) -> None:
        self._show, self._path, self._tensorboard = show, path, tensorboard
        self._written = -math.inf
        self.expect, self.begin, self.note = show.expect, show.begin, show.note

    def done(self, record: Measurement) -> None:
        """Show how a trial ended; after a full one write the report, not oftener than `PAUSE`."""
        self._show.done(record)
        if record.kind == "full" and record.ok and time.monotonic() > self._written + PAUSE:
            with _uninterrupted():
                try:
                    _write_report(self._path, self._tensorboard)
                except OSError as error:  # the records are what counts; said once more at the end
                    self.note(_unwritten(self._path, error))
                    self._written = math.inf
                    return
            self._written = time.monotonic()


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


def _conclude(session: Session, tensorboard: bool) -> Comparison:
    """Compare, export and write the report."""
    from bench.analysis.comparison import compare_run
    from bench.run import export

    comparison = compare_run(session.header, session.records, session.probed)
    if session.header.mode in ("combine", "full-optimization"):
        export.export(session, comparison)
    try:
        _write_report(session.folder.path, tensorboard)
    except OSError as error:
        raise BenchError(_unwritten(session.folder.path, error)) from None
    return comparison


def _unwritten(path: Path, error: OSError) -> str:
    return (
        f"can't write the report of {path}: {error.strerror}; its records are whole: "
        f"bench report {path}"
    )


def _write_report(path: Path, tensorboard: bool) -> None:
    import reports
    from bench.records.files import write_text

    record = reports.read(path)
    if tensorboard:
        reports.write_events(record, path / "tensorboard")
    reports.write_curves(record, path / "plots")
    record = reports.read(path)  # with the curves
    for format in ("md", "html"):
        write_text(path / f"report.{format}", reports.render(format, record))


def _print(path: Path, as_json: bool) -> None:
    import reports

    record = reports.read(path)
    tell(reports.render("json", record) if as_json else reports.summary(record), end="")
