"""The forest plot as files beside ``report.md``, one for light pages and one for dark ones."""

from __future__ import annotations

from pathlib import Path

from bench.records.files import write_text
from reports.charts.intervals import HEIGHT
from reports.charts.marks import element, label, line
from reports.charts.names import shortened
from reports.charts.theme import THEMES, style
from reports.page.forest import Forest, forest_of
from reports.run import FOREST, Run
from reports.view.rows import Row
from reports.view.whole import view_of

NAME, PANEL, GAP, LINE = 220, 190, 18, 52
"""Pixels: of the names, of a panel, between panels, of a row."""
HEAD = 44
MOST = 40
"""Arms in a file; the page has them all."""
LETTERS = 27


def write_pictures(run: Run, folder: Path) -> bool:
    """Write the plot for each theme; tell whether there is one, and its folder is no link."""
    forest = forest_of(run, view_of(run))
    if not forest.rows or folder.is_symlink():
        return False  # it would be written elsewhere
    folder.mkdir(exist_ok=True)
    for theme in THEMES:
        write_text(folder / FOREST.format(theme), picture(forest, run.header.metric, theme))
    return True


def picture(forest: Forest, metric: str, theme: str) -> str:
    """Return the plot as an SVG file."""
    shown = forest.rows[:MOST]
    rows = [*shown, *([forest.control] if forest.control else [])]
    parts = [_head(forest, metric)]
    parts += [_row(forest, row, HEAD + LINE * n) for n, row in enumerate(rows)]
    left = len(forest.rows) - len(shown)
    height = HEAD + LINE * len(rows) + (24 if left else 8)
    if left:
        parts.append(label(8, height - 8, f"and {left} more, in report.html", "small", "start"))
    wide = NAME + (PANEL + GAP) * len(forest.shown)
    ground = element("rect", width=wide, height=height, class_="ground")
    return element(
        "svg", style(theme) + ground + "".join(parts), xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {wide} {height}", width=wide, height=height, role="img",
        aria_label="Arms against the baseline: intervals of time, memory and quality",
    ) + "\n"  # fmt: skip


def _head(forest: Forest, metric: str) -> str:
    names = {"time": "time", "memory": "memory", "quality": metric}
    parts = [line(0, HEAD - 4, "100%", HEAD - 4, "rule")]
    for place, column in enumerate(forest.shown):
        parts.append(label(_left(place), 16, f"{names[column]} (better →)", "head", "start"))
        parts.append(_panel(place, 22, forest.axis(column), 18))
    return "".join(parts)


def _row(forest: Forest, row: Row, top: float) -> str:
    parts = [
        label(8, top + 15, shortened(row.arm, LETTERS), "arm", "start"),
        label(8, top + 32, row.verdict or "identical runs", f"said {row.tone}", "start"),
        line(0, top + LINE - 4, "100%", top + LINE - 4, "rule"),
    ]
    for place, column in enumerate(forest.shown):
        words = {
            "time": row.time.text if row.time else "",
            "memory": row.memory.text if row.memory else "",
            "quality": row.quality_text,
        }[column]
        parts.append(_panel(place, top, forest.inside(row, column), HEIGHT))
        parts.append(label(_left(place), top + 42, words, "small", "start"))
    return "".join(parts)


def _panel(place: int, top: float, inside: str, height: float) -> str:
    if not inside:
        return ""
    return element("svg", inside, x=_left(place), y=top, width=PANEL, height=height,
                   overflow="visible")  # fmt: skip


def _left(place: int) -> float:
    return float(NAME + place * (PANEL + GAP))
