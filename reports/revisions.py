"""What a comparison of two revisions says: regressed, not regressed, improved, or not told."""

from __future__ import annotations

from bench.analysis.revised import Answer, Found, Revised
from bench.records.revisions import Revisions
from bench.records.text import NOTHING, SMALL
from reports import formatting
from reports.formatting import listing, number

SAID = {
    Answer.REGRESSED: "head has regressed beyond the limit",
    Answer.KEPT: "head has not regressed beyond the limit",
    Answer.IMPROVED: "head is better, and worse in nothing beyond the limit",
    Answer.OPEN: "Whether head has regressed could not be told",
}
MOST_SHOWN = 9.0
"""Regressions from which on a figure says no more: tenfold."""


def said(asked: Revisions, found: Revised) -> str:
    """Return the answer, by what it was found, and the smallest regression that would show."""
    which = f"{asked.label[0].upper()}{asked.label[1:]}"
    if found.answer is Answer.REGRESSED and not found.rows:
        return f"head has regressed: it does not train where base does: {found.reason}. {which}."
    pairs = number(found.pairs, "fresh pair" if found.confirmed else "pair")
    parts = [f"{SAID[found.answer]}, in {pairs}"]
    if found.reason:
        parts.append(found.reason)
    parts += [_row(row) for row in _ordered(found)]
    text = f"{parts[0]}: {'; '.join(parts[1:])}." if parts[1:] else f"{parts[0]}."
    seen = [f"{row.name} {_amount(row, row.visible)}" for row in found.rows if _shows(row)]
    if found.answer is not Answer.REGRESSED and seen:
        text += f" The smallest regression that this would have seen: {listing(seen)}."
    return f"{text} {which}."


def why(found: Revised) -> str:
    """Return by how much the head is worse in each question, and what of it failed."""
    parts = [found.reason] if found.reason else []
    parts += [_row(row) for row in _ordered(found)]
    return f"{'; '.join(parts) or 'nothing was measured'}."


def _ordered(found: Revised) -> list[Found]:
    """Return the rows, those first that gave the answer."""
    return sorted(found.rows, key=lambda row: row.answer is not found.answer)


def _row(row: Found) -> str:
    low, middle, high = row.worse
    between = "unknown bounds"
    if low is not None and high is not None:
        between = f"{_amount(row, low)} to {_amount(row, high)}"
    worse = " worse by" if row.is_metric else ""
    return f"{row.name}{worse} {_amount(row, middle)} ({between}; {_limit(row)})"


def _amount(row: Found, value: float | None) -> str:
    """Return by how much the head is worse: a share with its sign; of the metric what is lost."""
    if value is None:
        return formatting.UNKNOWN
    if not row.is_metric:
        return f"{100 * value + 0.0:+.1f} %".replace("-0.0 %", "+0.0 %")
    exact = round(value, 4) if abs(value) >= SMALL else float(f"{value:.3g}")
    return formatting.margin(exact + 0.0 if abs(value) > NOTHING else 0.0, row.relative)


def _limit(row: Found) -> str:
    if not row.is_metric:
        return f"limit {100 * row.limit:+.3g} %"
    return f"margin {formatting.margin(row.limit, row.relative)}"


def _shows(row: Found) -> bool:
    return row.visible is not None and row.visible < MOST_SHOWN
