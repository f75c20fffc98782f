"""Progress of a run on stderr: a live line on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType

from bench.cli.output import say
from bench.records.measurement import Measurement, Status
from bench.records.run_folder import Folder
from bench.records.text import printable


class NoProgress:
    """Shows nothing but notes; also what the other displays start from."""

    def __enter__(self) -> NoProgress:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""

    def opened(self, folder: Folder) -> None:
        """Show which run this is."""

    def expect(self, trials: int) -> None:
        """Add `trials` to the planned total."""

    def begin(self, what: str) -> None:
        """Show what runs now."""

    def done(self, record: Measurement) -> None:
        """Show how a trial ended."""

    def note(self, text: str) -> None:
        """Print one line, whatever else is hidden."""
        say(text)


class Plain(NoProgress):
    """One line for each finished trial, for logs."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._expected = 0
        self._finished = 0
        self._begun = time.monotonic()

    def opened(self, folder: Folder) -> None:
        """Show which run this is, once its first trials are planned."""
        self._path = folder.path

    def expect(self, trials: int) -> None:
        """Add `trials` to the planned total."""
        if self._expected == 0 and self._path:
            self.note(f"the report so far: {self._path / 'report.md'}")
        self._expected += trials

    def done(self, record: Measurement) -> None:
        """Print the trial's number, arm, seed and outcome."""
        self._finished += record.pair >= 0
        spent = time.monotonic() - self._begun
        count = f"[{self._finished}/{self._expected}]" if record.pair >= 0 else "[-]"
        self.note(f"{count} {spent:6.1f} s  {record.arm}  seed {record.seed}  {outcome(record)}")


class Live(NoProgress):
    """A progress bar with the time left (rich)."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None)
        self._path: Path | None = None

    def __enter__(self) -> Live:
        """Take the last line of the terminal."""
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Clear the line."""
        self._bar.stop()

    def opened(self, folder: Folder) -> None:
        """Show which run this is, once its first trials are planned."""
        self._path = folder.path

    def expect(self, trials: int) -> None:
        """Add `trials` to the planned total."""
        task = self._bar.tasks[0]
        if task.total is None and self._path:
            self.note(f"the report so far: {self._path / 'report.md'}")
        self._bar.update(self._task, total=(task.total or 0) + trials)

    def begin(self, what: str) -> None:
        """Show what runs now."""
        self._bar.update(self._task, description=what)

    def done(self, record: Measurement) -> None:
        """Move the bar; print what did not end well."""
        if record.pair >= 0:
            self._bar.advance(self._task)
        if record.status is not Status.OK:
            self._bar.console.print(
                printable(f"{record.arm}: {outcome(record)}"), markup=False, highlight=False
            )

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(printable(text), markup=False, highlight=False)


def choose(quiet: bool) -> NoProgress:
    """Return the display that fits where stderr goes."""
    if quiet:
        return NoProgress()
    return Live() if sys.stderr.isatty() else Plain()


def outcome(record: Measurement) -> str:
    """Return how a trial ended, in a few words."""
    if record.status is not Status.OK:
        return f"{str(record.status).replace('_', ' ')}: {record.reason}"
    parts = []
    if record.train_seconds is not None:
        parts.append(f"trained {record.train_seconds:.2f} s")
    if record.metric is not None:
        parts.append(f"metric {record.metric:.4f}")
    return ", ".join(parts)
