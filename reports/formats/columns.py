"""Columns and lines of text, as wide as a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

NARROWEST, WIDEST = 40, 200
ELLIPSIS = "…"

Column = tuple[str, list[str]]
"""A title, and a cell for each line."""


def within(width: int) -> int:
    """Return a terminal's width, as far as it is used."""
    return min(WIDEST, max(NARROWEST, width))


def first_fitting(choices: Iterable[list[Column]], wide: int) -> list[Column] | None:
    """Return the first set of columns that fits; None where none does."""
    return next((columns for columns in choices if _width(columns) <= wide), None)


def laid_out(columns: Sequence[Column]) -> list[str]:
    """Return the lines of a table, its titles first; each cell is on one line."""
    cells = [[flat(text) for text in (title, *c)] for title, c in columns]
    lines = [*zip(*cells, strict=True)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def flat(text: str) -> str:
    """Return a text on one line."""
    return text if text.isprintable() else " ".join(text.split())


def filled(text: str, wide: int) -> list[str]:
    """Return a text in lines; what has no space in it is never broken."""
    return textwrap.wrap(
        " ".join(text.split()), wide, break_long_words=False, break_on_hyphens=False
    )


def cut(text: str, wide: int) -> str:
    """Return a text in one line, its end left out where it is too long.

    It ends after a whole word: a number of which digits are missing is another number.
    """
    text = flat(text)
    if len(text) <= wide:
        return text
    head, space, _ = text[: wide - 1].rpartition(" ")
    return f"{head.rstrip(' ,;')} {ELLIPSIS}" if space else text[: wide - 1] + ELLIPSIS


def _width(columns: Sequence[Column]) -> int:
    return sum(max(len(flat(cell)) for cell in (title, *cells)) + 2 for title, cells in columns) - 2
