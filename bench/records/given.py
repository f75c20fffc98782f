"""Read a table of given measurements: CSV with the columns arm and value, pair and session."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
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


def text_of(path: Path) -> str:
    """Return a table's text; raise `BenchError` where it can't be read."""
    try:
        check_regular(path)
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BenchError(f"can't read {path}: {why}") from None


def rows_of(lines: Iterable[str], where: str) -> list[Row]:
    """Return the rows of CSV lines; raise `BenchError` that names the line of what is none."""
    reader = csv.reader(lines, skipinitialspace=True)
    try:
        return [*_rows(reader, where)]
    except csv.Error as error:
        raise BenchError(f"{where}, line {reader.line_num}: {error}") from None


def _rows(reader: Iterator[list[str]], where: str) -> Iterator[Row]:
    """Yield each line's row; blank lines are none."""
    names: list[str] = []
    for number, fields in enumerate(reader, 1):
        if not fields:
            continue
        if not names:
            names = _header([field.strip() for field in fields], where)
            continue
        if len(fields) != len(names):
            raise BenchError(f"{where}, line {number}: {len(fields)} fields under {len(names)} "
                             "columns; write decimals with a point, an unknown one as nothing "
                             "between its commas")  # fmt: skip
        yield _row(dict(zip(names, fields, strict=True)), f"{where}, line {number}")
    if not names:
        _header([], where)


def _header(names: list[str], where: str) -> list[str]:
    missing = [name for name in COLUMNS[:2] if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    twice = [name for name in names if names.count(name) > 1]
    if missing or unknown or twice:
        what = (f"no column {missing[0]}" if missing else f"a column {unknown[0]!r:.40}"
                if unknown else f"the column {twice[0]} twice")  # fmt: skip
        raise BenchError(f"{where} has {what}; its columns are arm and value, and, where they are "
                         "told, session and pair")  # fmt: skip
    return names


def _row(record: dict[str, str], where: str) -> Row:
    values = {name: record.get(name, "").strip() for name in COLUMNS}
    try:
        value = float(values["value"] if "_" not in values["value"] else "")
    except ValueError:
        value = math.nan
    if not values["arm"] or not math.isfinite(value):
        raise BenchError(f"{where}: arm {values['arm']!r}, value {values['value']!r:.40}: give a "
                         "name and a finite number")  # fmt: skip
    return Row(values["arm"], value, values["session"], values["pair"])
