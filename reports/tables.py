"""A table of finished texts, before any format has laid it out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reports.formatting import UNKNOWN

EMPTY = frozenset({"", "–", UNKNOWN})


@dataclass(frozen=True)
class Table:
    """Column titles and rows of equal length."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def known(self) -> Table:
        """Return the table without the columns that no row knows anything of."""
        kept = [
            index
            for index in range(len(self.columns))
            if index == 0 or any(row[index] not in EMPTY for row in self.rows)
        ]
        return Table(
            tuple(self.columns[index] for index in kept),
            tuple(tuple(row[index] for index in kept) for row in self.rows),
        )

    def narrow(self, most: int) -> list[Table]:
        """Return the table in parts of at most so many columns, the first one in each."""
        rest = range(1, len(self.columns))
        parts = [rest[begin : begin + most - 1] for begin in range(0, len(rest), most - 1)]
        return [
            Table(
                tuple(self.columns[index] for index in (0, *part)),
                tuple(tuple(row[index] for index in (0, *part)) for row in self.rows),
            )
            for part in parts
        ]


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table | None:
    """Return a table, or None where it would have no row."""
    made = Table(tuple(columns), tuple(tuple(row) for row in rows))
    return made if made.rows else None
