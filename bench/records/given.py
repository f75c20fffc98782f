"""Read a table of given measurements: CSV with the columns arm and value, pair and session."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError
from bench.records.schema import check_regular

COLUMNS = ("arm", "value", "session", "pair")


class Row(NamedTuple):
    """One measurement that somebody else made."""

    arm: str
    value: float
    session: str
    """Empty where it isn't told."""
    pair: str


def read_given(path: Path) -> list[Row]:
    """Read a table; raise `BenchError` that names file and line for what is none."""
    try:
        check_regular(path)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BenchError(f"can't read {path}: {why}") from None
    return rows_of(text.splitlines(), str(path))


def rows_of(lines: Iterable[str], where: str) -> list[Row]:
    """Return the rows of CSV lines."""
    reader = csv.DictReader(lines, skipinitialspace=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    missing = [name for name in COLUMNS[:2] if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown:
        what = f"no column {missing[0]}" if missing else f"a column {unknown[0]!r:.40}"
        raise BenchError(f"{where} has {what}; its columns are arm and value, and, where they are "
                         "told, session and pair")  # fmt: skip
    return [_row(record, f"{where}, line {reader.line_num}") for record in reader]


def _row(record: dict[str, str | None], where: str) -> Row:
    values = {name: (record.get(name) or "").strip() for name in COLUMNS}
    try:
        value = float(values["value"])
    except ValueError:
        value = math.nan
    if not values["arm"] or not math.isfinite(value):
        raise BenchError(f"{where}: arm {values['arm']!r}, value {values['value']!r:.40}: give a "
                         "name and a finite number")  # fmt: skip
    return Row(values["arm"], value, values["session"], values["pair"])
