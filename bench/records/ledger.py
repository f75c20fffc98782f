"""The ledger of judged edits: a line when one is begun, another when it is answered.

It lies among the runs (``results/judged.jsonl``) and only grows. An edit has its level before its
first trial, whatever becomes of it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Literal
from uuid import uuid4

from pydantic import Field

from bench.errors import BenchError
from bench.records.schema import Record, Text, check_regular, read_line

LEDGER = "judged.jsonl"
Answer = Literal["keep", "discard", "more", "void"]
"""More: it is not answered yet. Void: it could not be begun, so nothing was looked at."""


class Edit(Record):
    """One edit that was judged, or is being judged."""

    format: Literal[1] = 1
    edit: Text
    """What lines of one edit have in common."""
    level: Annotated[float, Field(gt=0, lt=1)]
    """The error that was allowed in keeping it."""
    answer: Answer = "more"
    run: Text | None = None
    commit: Text | None = None
    """What it was judged against."""


class Ledger:
    """A ledger in a folder of runs."""

    def __init__(self, results: Path) -> None:
        self.path = results / LEDGER

    def edits(self) -> list[Edit]:
        """Return every edit as its last line has it, in the order in which they were begun."""
        check_regular(self.path)
        return _latest(self._lines(self.path.read_bytes())) if self.path.exists() else []

    def begin(self, level_after: Callable[[Sequence[bool]], float]) -> Edit:
        """Add an edit, with the level that follows from which were kept so far."""
        with self._open() as file:
            known = [edit for edit in _latest(self._lines(file.read())) if edit.answer != "void"]
            level = level_after([edit.answer == "keep" for edit in known])
            return _write(file, Edit(edit=uuid4().hex[:12], level=level))

    def answer(self, edit: Edit) -> None:
        """Add what became of an edit."""
        with self._open() as file:
            _write(file, edit)

    def is_measured(self, edit: Edit) -> bool:
        """Tell whether an edit has a run that was kept."""
        known = next(one for one in self.edits() if one.edit == edit.edit)
        return known.run is not None and (self.path.parent / known.run).is_dir()

    def of_run(self, run: str) -> Edit:
        """Return the edit that a run judges."""
        found = next((edit for edit in self.edits() if edit.run == run), None)
        if found is None:
            raise BenchError(f"{self.path} has no edit of {run}: judge the edit anew")
        return found

    def _lines(self, content: bytes) -> list[Edit]:
        lines = content.split(b"\n")[:-1]
        where = f"{self.path}, line"
        return [read_line(Edit, line, f"{where} {n}") for n, line in enumerate(lines, 1)]

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """Open the ledger for one process at a time."""
        check_regular(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)  # a torn last line was never answered
                file.seek(0)
                yield file
        except OSError as error:
            raise BenchError(f"can't write {self.path}: {error.strerror}") from None


def _latest(lines: Sequence[Edit]) -> list[Edit]:
    found: dict[str, Edit] = {}
    for edit in lines:
        found[edit.edit] = edit
    return list(found.values())


def _write(file: IO[bytes], edit: Edit) -> Edit:
    """Append a line and wait until the disk has it."""
    file.write(edit.model_dump_json().encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())
    return edit
