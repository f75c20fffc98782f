"""Progress of a run on stderr: a live line on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from bench.analysis.levels import looks_of, rule_of
from bench.cli.course import Course, named, shown
from bench.cli.output import say
from bench.records.measurement import Measurement, Status
from bench.records.run_folder import Folder
from bench.records.text import printable

PAUSE = 30.0
"""Seconds between two plain lines, at least."""
NAMED = 6
"""Arms that are left out and named while a run goes on; the report names all, with reasons."""


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

    def best(self, said: str | None) -> None:
        """Show which arm looks best so far."""

    def note(self, text: str) -> None:
        """Print one line, whatever else is hidden."""
        say(text)


class Shown(NoProgress):
    """What both displays have in common: they know the course of the run."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.course = Course(clock())
        self._path: Path | None = None
        self._placed = False

    def opened(self, folder: Folder) -> None:
        """Know the run; its folder is told once trials are planned: until then it may go again."""
        self._path, self._folder = folder.path, folder
        self.course.metric = folder.header.metric
        self.course.budget_seconds = folder.header.budget_seconds

    def expect(self, trials: int) -> None:
        """Add `trials` to the planned total; before the first say where, and what is left out."""
        if self.course.expected == 0 and self._path:
            self._tell_place()
            if self.course.inapplicable:
                self.note(_inapplicable(self.course.inapplicable))
            self.note(self._plan(trials))
        self.course.expected += trials

    def _tell_place(self) -> None:
        """Say once where the run lies: as soon as it surely stays."""
        if self._path and not self._placed:
            self._placed = True
            self.note(f"the report so far: {self._path / 'report.html'}")

    def _plan(self, trials: int) -> str:
        """Return what is planned; how long it takes is told from the first trial on."""
        from reports.formatting import number

        header = self._folder.header
        arms = header.raced.get("test", len(header.arms))
        first, most = looks_of(header, rule_of(header))
        pairs = number(most, "pair") if first == most else f"{first} to {number(most, 'pair')}"
        until = "" if first == most else " until the first look"
        budget = f"; budget {shown(header.budget_seconds)}" if header.budget_seconds else ""
        what = number(arms, "arm") if arms else "the baseline"
        return f"plan: {what} in {pairs}, {number(trials, 'trial')}{until}{budget}"

    def begin(self, what: str) -> None:
        """Show what runs now."""
        self.course.begin(what, self._clock())
        if self.course.checked > 1:  # the baseline trains
            self._tell_place()

    def best(self, said: str | None) -> None:
        """Show which arm looks best so far."""
        self.course.best = said


class Plain(Shown):
    """A line now and then, for logs: of the first trial, the last, and what did not end well."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._told: float | None = None

    def begin(self, what: str) -> None:
        """Say what runs where nothing was said for a while: rehearsals take time too."""
        super().begin(what)
        if self._told is None:
            self._told = self._clock()
        if self._clock() >= self._told + PAUSE:
            self._tell(named(what))

    def done(self, record: Measurement) -> None:
        """Print the trial's number, arm, seed and outcome, with the time that is left."""
        first = self.course.finished == 0
        self.course.done(record)
        if record.pair < 0:
            return
        last = self.course.finished == self.course.expected
        due = self._told is None or self._clock() >= self._told + PAUSE
        if first or last or due or not record.ok:
            said = f"{named(record.arm)}  seed {record.seed}"
            self._tell(f"{said}  {outcome(record, self.course.metric)}")

    def _tell(self, what: str) -> None:
        now = self._clock()
        self._told = now
        expected = self.course.expected
        count = f"[{self.course.finished}/{expected}]" if expected else "[-]"
        left = self.course.left(now)
        after = f"  about {shown(left)} left" if left else ""
        self.note(f"{count} {now - self.course.begun:6.1f} s  {what}{after}")


class Live(Shown):
    """One line that is kept up to date, on the terminal's last line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.live import Live as Screen

        super().__init__(clock)
        self._console = Console(stderr=True, highlight=False, markup=False)
        self._screen = Screen(console=self._console, transient=True, get_renderable=self._line)

    def __enter__(self) -> Live:
        """Take the last line of the terminal."""
        self._screen.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Clear the line."""
        self._screen.stop()

    def _line(self) -> str:
        width = max(20, self._console.width - 1)
        return printable(self.course.line(self._clock(), width))

    def done(self, record: Measurement) -> None:
        """Count the trial; print what did not end well."""
        self.course.done(record)
        if record.status is not Status.OK and record.pair >= 0:
            self.note(f"{named(record.arm)}: {outcome(record, self.course.metric)}")

    def note(self, text: str) -> None:
        """Print a line above the live one."""
        self._console.print(printable(text), markup=False, highlight=False)


def choose(quiet: bool) -> NoProgress:
    """Return the display that fits where stderr goes."""
    if quiet:
        return NoProgress()
    return Live() if sys.stderr.isatty() else Plain()


def outcome(record: Measurement, metric: str) -> str:
    """Return how a trial ended, in a few words."""
    if record.status is not Status.OK:
        return f"{str(record.status).replace('_', ' ')}: {record.reason}"
    parts = []
    if record.train_seconds is not None:
        parts.append(f"trained {record.train_seconds:.2f} s")
    if record.metric is not None:
        parts.append(f"{metric} {record.metric:.4f}")
    return ", ".join(parts)


def _inapplicable(arms: list[str]) -> str:
    others = f" and {len(arms) - NAMED} others" if len(arms) > NAMED else ""
    count = (
        "1 arm does not apply here or can't"
        if len(arms) == 1
        else (f"{len(arms)} arms don't apply here or can't")
    )
    return f"{count} gain enough: {', '.join(arms[:NAMED])}{others}"
