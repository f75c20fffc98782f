"""The forest plot: a row for each arm, with panels for time, memory and quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.intervals import Interval
from reports.charts.intervals import Panel, axis, cell, row
from reports.charts.scale import linear_scale, ratio_scale, ratio_ticks, signed, spaced, ticks
from reports.run import Run
from reports.view.rows import Cell, Row, equal_runs
from reports.view.whole import View

WIDE, FEW = 0.27, 3
"""How far apart labels are in a narrow panel, and about how many it has."""
NARROW = 105
"""Pixels of a panel where the page is narrowest that still has columns."""
COLUMNS = ("time", "memory", "quality")


@dataclass(frozen=True, slots=True)
class Forest:
    """Panels that no arm has anything in are None."""

    panels: dict[str, Panel | None]
    rows: tuple[Row, ...]
    control: Row | None

    @property
    def shown(self) -> list[str]:
        """Return the panels that are there."""
        return [name for name in COLUMNS if self.panels[name] is not None]

    def axis(self, column: str) -> str:
        """Return the ticks of a column, as the inside of a chart."""
        panel = self.panels[column]
        return axis(panel) if panel else ""

    def inside(self, row: Row, column: str) -> str:
        """Return what is drawn of a row in a column; nothing where nothing is known."""
        found, panel = cell_of(row, column), self.panels[column]
        if found is None or panel is None:
            return ""
        return cell(panel, row.tone, found.middle, found.low, found.high, found.points)

    def chart(self, row_: Row, column: str) -> str:
        """Return the same as a chart for a page."""
        inside = self.inside(row_, column)
        return row(inside) if inside else ""


def forest_of(run: Run, view: View) -> Forest:
    """Return the forest plot of the arms that were measured."""
    own = [*view.rows, *([view.control] if view.control else [])]
    bands = equal_runs(run.comparison.control)
    return Forest(
        {
            "time": _ratios([r.time for r in own], bands[0]),
            "memory": _ratios([r.memory for r in own], bands[1]),
            "quality": _quality(run, [r.quality for r in own]),
        },
        view.rows,
        view.control,
    )


def cell_of(row: Row, column: str) -> Cell | None:
    """Return what is known of a row in a column."""
    return {"time": row.time, "memory": row.memory, "quality": row.quality}[column]


def _ratios(cells: Sequence[Cell | None], band: Interval | None) -> Panel | None:
    known = [found for found in cells if found]
    if not known:
        return None
    scale = ratio_scale([found.middle for found in known], _ends(known))
    equal = None
    if band and band.low is not None and band.high is not None:
        equal = (band.low, band.high)
    return Panel(scale, ratio_ticks(scale, WIDE), 1.0, equal)


def _quality(run: Run, cells: Sequence[Cell | None]) -> Panel | None:
    known = [found for found in cells if found]
    if not known:
        return None
    margin, sign = run.comparison.margin, -1.0 if run.target.lower else 1.0
    reach = 4 * max([margin, *(abs(found.middle) for found in known)])
    shown = [min(reach, max(-reach, end)) for end in _ends(known)]
    scale = linear_scale([-margin, 0.0, margin / 2, *shown])
    factor, unit = (100.0, " %") if run.comparison.margin_is_relative else (1.0, "")
    found = spaced(
        ticks(scale, lambda value: signed(sign * factor * value) + unit, FEW), scale, NARROW
    )
    return Panel(scale, found, 0.0, limit=-margin)


def _ends(cells: Sequence[Cell]) -> list[float]:
    ends = [end for found in cells for end in (found.low, found.high) if end is not None]
    return [*ends, *(point for found in cells for point in found.points)]
