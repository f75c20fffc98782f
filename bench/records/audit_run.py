"""What an audit was asked to do and how far it is: ``audit.json`` in its folder.

Beside it lie, in a folder for each audit, the folders of its runs: each is a run like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from bench.errors import BenchError
from bench.records.audit import RIVAL, Audit, Claimed, experiment_of
from bench.records.files import write_text
from bench.records.given import Row, rows_of
from bench.records.header import Header
from bench.records.measurement import Measurement
from bench.records.run_folder import read_header, read_measurements
from bench.records.schema import (
    Amount,
    Count,
    Instant,
    Json,
    Number,
    Record,
    Text,
    Whole,
    read_record,
)

AUDIT = "audit.json"


class Score(Record):
    """What a rival reached, once."""

    metric: Number
    seconds: Amount


class AuditRun(Record):
    """The content of ``audit.json``: all that is needed to go on, and to report."""

    format: Literal[1] = 1
    run: Text
    started: Instant
    audits: tuple[Audit, ...]
    places: dict[Text, Text]
    """Where each audit's file lay, from which it names others."""
    tables: dict[Text, Text] = {}
    """The given measurements as they were read, by audit and file: ``name/table.csv``."""
    data_dir: Text | None = None
    device: Text = "auto"
    threads: Count | None = None
    seed: Whole = 0
    budget_seconds: Amount | None = None
    trial_timeout_seconds: Amount = 1800.0
    done: tuple[Text, ...] = ()
    """The runs that are over, as ``audit/run``."""
    refused: dict[Text, Text] = {}
    """Those that could not begin, and why."""
    seconds: dict[Text, Amount] = {}
    """What each took, in all."""
    rivals: dict[Text, Score] = {}
    """What each audit's rival reached."""
    command: tuple[Text, ...] = ()
    environment: Json = {}

    def given(self, audit: Audit) -> Iterator[tuple[Claimed, list[Row]]]:
        """Yield each claim that given measurements tell, with them; a table is read once."""
        known: dict[str, list[Row]] = {}
        for claim in audit.claims:
            if claim.given is None:
                continue
            table = claim.given.table
            name = f"{audit.name}/{table}"
            if name not in self.tables:
                raise BenchError(f"{self.run} holds no table {name}: start the audit again")
            if table not in known:
                known[table] = rows_of(self.tables[name].splitlines(), table)
            yield claim, known[table]

    def planned(self) -> Iterator[tuple[Audit, str]]:
        """Yield every run, by audit and name, in order; those that tell no claim are left out.

        A rival's comes first: it takes less than its share of a budget, and leaves the rest.
        """
        for audit in self.audits:
            if audit.rival is not None:
                yield audit, RIVAL
            for name in audit.runs:
                if experiment_of(audit, name).claims:
                    yield audit, name


def key_of(audit: Audit, name: str) -> str:
    """Return how a run of an audit is called in its record."""
    return f"{audit.name}/{name}"


def write_audit(path: Path, record: AuditRun) -> None:
    """Write an audit's record whole."""
    write_text(path / AUDIT, record.model_dump_json(indent=1) + "\n")


def read_audit_run(path: Path) -> AuditRun:
    """Read an audit's record; raise `BenchError` where the folder is none."""
    if not (path / AUDIT).is_file():
        raise BenchError(f"{path} is no audit: it has no {AUDIT}; see the folders in results/")
    return read_record(AuditRun, path / AUDIT, "")


def run_of(path: Path, audit: Audit, name: str) -> Path | None:
    """Return the folder of one of an audit's runs, where it was begun."""
    folders = sorted((path / audit.name).glob("*/run.json"))
    return next((f.parent for f in folders if _is_of(f.parent, name)), None)


def has_trials(path: Path, audit: Audit, name: str) -> bool:
    """Tell whether one of an audit's runs has been begun, and has measured anything."""
    folder = run_of(path, audit, name)
    return folder is not None and bool(read_trials(folder)[1])


def _is_of(folder: Path, name: str) -> bool:
    found = read_header(folder).audit
    return name == RIVAL if found is None else name == found.name


def read_trials(folder: Path) -> tuple[Header, Sequence[Measurement]]:
    """Return a run's header and the trials that it has made so far."""
    return read_header(folder), read_measurements(folder / "trials.jsonl")
