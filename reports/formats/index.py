"""Stored runs, one a line: when, of what, where, and what came of it, in few words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from bench.records.text import printable
from reports import formatting, undone
from reports.formats.columns import Column, cut, first_fitting, laid_out, within
from reports.formats.json import as_text
from reports.gains import gains_of
from reports.run import Run
from reports.stored import Unread, machine
from reports.view.answer import answer


class Entry(NamedTuple):
    """One run."""

    folder: str
    started: str
    baseline: str
    mode: str
    machine: str
    commit: str | None
    answer: str


class Index(NamedTuple):
    """The runs, the oldest first, and what is none."""

    entries: tuple[Entry, ...]
    unread: tuple[Unread, ...]


def index(found: Iterable[Run | Unread]) -> Index:
    """Return the index of stored runs; each is let go as soon as its line is known."""
    entries: list[Entry] = []
    unread: list[Unread] = []
    for one in found:
        if isinstance(one, Unread):
            unread.append(one)
        else:
            entries.append(_entry(one))
    entries.sort(key=lambda entry: datetime.fromisoformat(entry.started).timestamp())
    return Index(tuple(entries), tuple(unread))


def render(found: Index, width: int = 100) -> str:
    """Return the index as a table as wide as a terminal; a folder's name is never cut."""
    wide = within(width)
    lines = _table(found.entries, wide) if found.entries else ["no run found"]
    lines += _unread(found.unread, wide)
    return printable("\n".join(lines)) + "\n"


def as_json(found: Index) -> str:
    """Return the index for programs."""
    unread = [{"folder": str(one.folder), "reason": one.reason} for one in found.unread]
    rows: list[dict[str, Any]] = [entry._asdict() for entry in found.entries]
    return as_text({"format": 1, "runs": rows, "not_read": unread})


def _entry(run: Run) -> Entry:
    header = run.header
    commit = header.environment.get("git_commit")
    return Entry(
        str(run.path), header.started, header.name, header.mode, machine(header.environment),
        None if commit is None else str(commit), _answer(run),
    )  # fmt: skip


def _answer(run: Run) -> str:
    said = answer(run).badge
    if run.winner is not None:
        said += f": {' '.join([run.winner.arm, *gains_of(run, run.winner)[:1]])}"
    return said if undone.unfinished(run) is None else f"{said}; not finished"


def _table(entries: Sequence[Entry], wide: int) -> list[str]:
    columns = _columns(entries)
    fitting = first_fitting(
        (
            [columns[name] for name in names.split()]
            for names in (
                "folder when baseline mode answer commit machine",
                "folder answer commit machine",
                "folder answer commit",
                "folder answer",
            )
        ),
        wide,
    )
    if fitting:
        return laid_out(fitting)
    return [line for e in entries for line in (e.folder, cut(f"  {e.answer}", wide))]


def _columns(entries: Sequence[Entry]) -> dict[str, Column]:
    when = [datetime.fromisoformat(e.started).strftime("%Y-%m-%d %H:%M") for e in entries]
    return {
        "folder": ("folder", [e.folder for e in entries]),
        "when": ("when", when),
        "baseline": ("baseline", [e.baseline for e in entries]),
        "mode": ("mode", [e.mode for e in entries]),
        "answer": ("answer", [e.answer for e in entries]),
        "commit": ("commit", [e.commit or "" for e in entries]),
        "machine": ("machine", [e.machine for e in entries]),
    }


def _unread(unread: Sequence[Unread], wide: int) -> list[str]:
    if not unread:
        return []
    many = formatting.number(len(unread), "folder is no run", "folders are no run")
    return ["", f"{many} that can be read:", *(cut(f"  {one.line}", wide) for one in unread)]
