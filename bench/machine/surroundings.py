"""What else goes on while something is measured: waiting for a CPU, other work, quotas, clocks.

The clocks are taken when this module is imported: what is measured may replace those of `time`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter
from time import time as calendar

import psutil

QUOTAS = (
    (Path("/sys/fs/cgroup/cpu.stat"), "throttled_usec", 1e-6),
    (Path("/sys/fs/cgroup/cpu/cpu.stat"), "throttled_time", 1e-9),
)
READINGS = 5
"""Of the clocks, of which the quickest counts: one that was interrupted tells nothing."""
LOOSE_SECONDS = 0.002
LOOSE_SHARE = 0.01
"""How far two clocks may differ: reading them takes a moment, and they are slewed."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The same instant by several clocks."""

    monotonic: float
    perf_counter: float
    current: float
    """By what is called `time.perf_counter` now."""
    calendar: float

    @classmethod
    def read(cls) -> Clocks:
        """Read them as close to one another as it goes."""
        return min(map(_reading, range(READINGS)), key=lambda found: found[0])[1]


def _reading(number: int) -> tuple[float, Clocks]:
    begun = monotonic()
    made = Clocks(begun, perf_counter(), time.perf_counter(), calendar())
    return monotonic() - begun, made


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where all counters stood; None where the system doesn't tell."""

    clocks: Clocks
    waited: float | None
    busy: float | None
    own: float
    throttled: float | None

    @classmethod
    def take(cls) -> Snapshot:
        """Read every counter."""
        return cls(Clocks.read(), _waited(), _busy(), _own(), _throttled())

    def since(self, before: Snapshot) -> dict[str, float | None]:
        """Return the fields of `bench.records.measurement.Surroundings`."""
        seconds = self.clocks.monotonic - before.clocks.monotonic
        busy, own = _difference(self.busy, before.busy), self.own - before.own
        return {
            "waited_seconds": _difference(self.waited, before.waited),
            "foreign_cores": None if busy is None else max(0.0, busy - own) / max(seconds, 1e-3),
            "throttled_seconds": _difference(self.throttled, before.throttled),
            "clock_gap_seconds": abs(self.clocks.calendar - before.clocks.calendar - seconds),
        }


def turned_clock(before: Clocks, after: Clocks) -> str | None:
    """Say how the clock that measures disagrees with the machine's, if it does."""
    passed = after.monotonic - before.monotonic
    for name, seconds in (
        ("time.perf_counter", after.current - before.current),
        ("the performance counter", after.perf_counter - before.perf_counter),
    ):
        if abs(seconds - passed) > LOOSE_SECONDS + LOOSE_SHARE * passed:
            return (
                f"{name} says that {seconds:.4g} s passed while it trained, the monotonic clock "
                f"{passed:.4g} s: its times can't be trusted"
            )
    return None


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else max(0.0, after - before)


def _told(tell: Callable[[], float]) -> float | None:
    try:
        return tell()
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _waited() -> float | None:
    """Return seconds that this process's first thread was ready to run and did not."""
    return _told(lambda: int(Path("/proc/self/schedstat").read_text().split()[1]) * 1e-9)


def _busy() -> float | None:
    """Return CPU seconds used by all processes of the machine."""

    def tell() -> float:
        _name, user, nice, system, _idle, _io, *interrupts = (
            Path("/proc/stat").read_text().splitlines()[0].split()
        )
        ticks = sum(map(int, (user, nice, system, *interrupts[:3])))
        return ticks / os.sysconf("SC_CLK_TCK")

    return _told(tell)


def _own() -> float:
    """Return CPU seconds used by this process, what it started and what that started."""
    spent = sum(os.times()[:4])
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            spent += sum(child.cpu_times()[:2])
    return spent


def _throttled() -> float | None:
    """Return seconds for which the quota of this process's group held it back."""
    for path, name, unit in QUOTAS:

        def tell(path: Path = path, name: str = name, unit: float = unit) -> float:
            lines = map(str.split, path.read_text().splitlines())
            return next(int(value) for key, value in lines if key == name) * unit

        if (found := _told(tell)) is not None:
            return found
    return None
