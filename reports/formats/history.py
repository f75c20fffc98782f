"""Runs over commits: a line a series, and where each changed, between which runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from bench.analysis.change_points import LEAST
from bench.analysis.history import Change, History, Point, Series, histories
from bench.records.measurement import BASELINE
from bench.records.text import printable
from reports import formatting
from reports.formats.columns import Column, cut, filled, first_fitting, laid_out, within
from reports.formats.json import as_text
from reports.run import Run
from reports.stored import Unread, machine, told


class Past(NamedTuple):
    """What stored runs say one after the other, and which folders could not be read."""

    histories: tuple[History, ...]
    unread: tuple[Unread, ...]


def past(found: Iterable[Run | Unread]) -> Past:
    """Return the histories of stored runs; each run is let go as soon as its figures are known."""
    known, unread = [], []
    for one in found:
        if isinstance(one, Unread):
            unread.append(one)
        else:
            known.append(told(one))
    return Past(histories(known), tuple(unread))


def render(found: Past, width: int = 100) -> str:
    """Return the histories as tables as wide as a terminal, each with the changes found."""
    wide = within(width)
    parts = [_history(one, wide) for one in found.histories] or [["no run found"]]
    if found.unread:
        parts.append([cut(f"not read: {one.line}", wide) for one in found.unread])
    return printable("\n\n".join("\n".join(part) for part in parts)) + "\n"


def as_json(found: Past) -> str:
    """Return all points and changes for programs."""
    unread = [{"folder": str(one.folder), "reason": one.reason} for one in found.unread]
    whole = [_as_json(one) for one in found.histories]
    return as_text({"format": 1, "histories": whole, "not_read": unread})


def title(found: History) -> str:
    """Return what was trained, and where."""
    header = found.latest
    threads = formatting.number(header.threads, "thread")
    runs = formatting.number(found.runs, "run")
    where = machine(header.environment)
    return f"{header.name} on {where} ({header.device}, {threads}): {runs}"


def name(series: Series) -> str:
    """Return what a series is of; absolute figures say with which torch."""
    of = f"{series.arm}: {series.what}"
    return f"{of} (torch {series.torch})" if series.torch else of


def value(series: Series, found: float) -> str:
    """Return one of a series' values with its unit."""
    show = {
        "ratio": formatting.ratio, "seconds": formatting.seconds, "bytes": formatting.size,
        "metric": formatting.metric, "difference": formatting.difference,
    }  # fmt: skip
    return show[series.scale](found)


def said(series: Series, change: Change) -> str:
    """Return a change in one sentence: from what to what, and between which runs."""
    before, after = series.points[change.at - 1], series.points[change.at]
    return (
        f"{name(series)} changed from {value(series, change.before)} to "
        f"{value(series, change.after)} between {_place(before)} and {_place(after)}"
    )


def changes(found: History) -> list[str]:
    """Return what is known of changes, a sentence each."""
    known = [said(series, change) for series in found.series for change in series.changes]
    longest = max((len(series.points) for series in found.series), default=0)
    if longest < LEAST:
        runs = formatting.number(longest, "run")
        return [f"Whether something changed can be told from {LEAST} runs on; here are {runs}."]
    return known or ["No change found."]


def _place(point: Point) -> str:
    commit = f"commit {point.commit}, " if point.commit else ""
    return f"{point.run} ({commit}{point.started:%Y-%m-%d})"


def _history(found: History, wide: int) -> list[str]:
    series = found.series
    lines = [*filled(title(found), wide), *(_table(series, wide) if series else [])]
    return [*lines, *(line for text in changes(found) for line in filled(text, wide))]


def _table(series: Sequence[Series], wide: int) -> list[str]:
    columns: dict[str, Column] = {
        "what": ("of what", [name(one) for one in series]),
        "runs": ("runs", [str(len(one.points)) for one in series]),
        "first": ("first", [_end(one, 0) for one in series]),
        "last": ("last", [_end(one, -1) for one in series]),
        "changes": ("changes", [str(len(one.changes) or "") for one in series]),
    }
    choices = ("what runs first last changes", "what first last", "what last")
    fitting = first_fitting(([columns[n] for n in c.split()] for c in choices), wide)
    if fitting:
        return laid_out(fitting)
    return [cut(f"{name(one)}  {_end(one, -1)}", wide) for one in series]


def _end(series: Series, place: int) -> str:
    return value(series, series.points[place].value.middle)


def _as_json(found: History) -> dict[str, Any]:
    header = found.latest
    return {
        "baseline": header.name,
        "machine": machine(header.environment),
        "device": header.device,
        "threads": header.threads,
        "settings": header.settings,
        "runs": found.runs,
        "series": [dict(_series(series)) for series in found.series],
    }


def _series(series: Series) -> Iterator[tuple[str, Any]]:
    yield from {"arm": series.arm, "what": series.what, "unit": series.scale}.items()
    if series.arm == BASELINE:
        yield "torch", series.torch
    yield "points", [
        {
            "run": point.run, "started": point.started.isoformat(), "commit": point.commit,
            "value": [point.value.low, point.value.middle, point.value.high],
        }
        for point in series.points
    ]  # fmt: skip
    yield "changes", [
        {
            "after": series.points[change.at - 1].run, "before": series.points[change.at].run,
            "from": change.before, "to": change.after, "said": said(series, change),
        }
        for change in series.changes
    ]  # fmt: skip
