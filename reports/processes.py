"""What is said of arms that train in several processes."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.intervals import Interval
from bench.analysis.scaling import Scaling, scaling_of
from reports import formatting
from reports.run import Run
from reports.tables import Table, table


def scaled(run: Run) -> dict[str, Scaling]:
    """Return, by arm, how those scale that train in several processes."""
    found = ((result.arm, scaling_of(result, run.of(result.arm))) for result in run.candidates)
    return {arm: scaling for arm, scaling in found if scaling is not None}


def processes(run: Run) -> Table | None:
    """Return a row for each such arm; the time and memory of each process stand side by side."""
    columns = (
        "arm", "processes", "threads of each", "scaling efficiency", "window of each",
        "memory of each",
    )  # fmt: skip
    return table(columns, [_row(arm, one) for arm, one in scaled(run).items()])


def said(run: Run) -> Iterator[str]:
    """Yield a line for each such arm."""
    for arm, one in scaled(run).items():
        each = formatting.listing([formatting.size(value) for value in one.memory_bytes])
        yield (
            f"{arm}: {one.processes} processes of {formatting.number(one.threads, 'thread')}, "
            f"scaling efficiency {efficiency(one.efficiency)}, memory {each}"
        )


def efficiency(found: Interval | None) -> str:
    """Return ``61 % [55 %, 66 %]``."""
    if found is None:
        return formatting.UNKNOWN
    low, middle, high = found
    if low is None or high is None:
        return f"{formatting.percent(middle)} (no interval)"
    return f"{formatting.percent(middle)} [{formatting.percent(low)}, {formatting.percent(high)}]"


def _row(arm: str, one: Scaling) -> tuple[str, ...]:
    return (
        arm,
        str(one.processes),
        str(one.threads),
        efficiency(one.efficiency),
        ", ".join(formatting.seconds(value) for value in one.window_seconds),
        ", ".join(formatting.size(value) for value in one.memory_bytes),
    )
