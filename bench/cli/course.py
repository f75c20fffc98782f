"""How far a run has come, and about how long it still takes: what every display shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bench.records.measurement import CONTROL, Measurement

AGAIN = "baseline again (A/A)"
APART = " · "


@dataclass
class Course:
    """What is known of a run while it goes on; times are of one monotonic clock."""

    begun: float
    expected: int = 0
    finished: int = 0
    checked: int = 0
    """Arms rehearsed so far."""
    what: str = "starting"
    since: float = math.inf
    """When what runs now began; infinite where nothing runs."""
    metric: str = "metric"
    budget_seconds: float | None = None
    best: str | None = None
    """Which arm looks best so far, in words."""
    inapplicable: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Of each finished trial."""

    def begin(self, what: str, now: float) -> None:
        """Note what runs from now on."""
        self.what, self.since = named(what), now
        self.checked += what.startswith("checking ")

    def done(self, record: Measurement) -> None:
        """Note that a trial has ended."""
        if record.pair < 0:
            self.inapplicable.append(record.arm)
            return
        self.finished += 1
        self.since = math.inf
        if record.wall_seconds is not None:
            self.seconds.append(record.wall_seconds)

    def left(self, now: float) -> float | None:
        """Return about how many seconds are left, by what trials took so far; None: unknown.

        It is known from the first trial on, however long one takes; a budget cuts it off.
        """
        if not self.seconds or self.expected < self.finished:
            return None
        usual = math.fsum(self.seconds) / len(self.seconds)
        running = max(0.0, min(usual, now - self.since))
        left = max(0.0, usual * (self.expected - self.finished) - running)
        if self.budget_seconds is None:
            return left
        return min(left, max(0.0, self.budget_seconds - (now - self.begun)))

    def line(self, now: float, width: int) -> str:
        """Return all that fits into one line: what runs, the time left, the best, the time spent.

        What doesn't fit is left out from the end; the count and the time left always stay.
        """
        count = f"trial {min(self.finished + 1, self.expected)}/{self.expected} "
        if not self.expected:
            count = f"{self.checked}: " if self.checked else ""
        left = self.left(now)
        after = f"{APART}about {shown(left)} left" if left is not None else ""
        room = width - len(count) - len(after)
        what = self.what if len(self.what) <= room else f"{self.what[: max(1, room - 1)]}…"
        found = f"{count}{what}{after}"
        for part in (self.best, f"{shown(now - self.begun)} so far"):
            if part and len(found) + len(APART) + len(part) <= width:
                found += APART + part
        return found


def named(what: str) -> str:
    """Return what runs, in words that explain themselves."""
    return what.replace(CONTROL, AGAIN)


def shown(seconds: float) -> str:
    """Return a rough time: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5940 else f"{seconds / 3600:.1f} h"
