"""Objectives against each other: time and quality first, then what else can be traded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.front import front
from reports.charts.plane import Axis
from reports.charts.scale import linear_scale, ratio_scale, ratio_ticks, signed, ticks
from reports.charts.scatter import Spot, scatter, sizes
from reports.run import Run
from reports.view.rows import Cell, Row
from reports.view.whole import View

PAIRS = (("time", "quality"), ("memory", "quality"), ("time", "memory"))
BASELINE_CELL = Cell(1.0, None, None, (), "1×")
NO_CHANGE = Cell(0.0, None, None, (), "the same")


@dataclass(frozen=True, slots=True)
class Plane:
    """One chart, and what it is called."""

    title: str
    chart: str
    front: tuple[str, ...]


def planes(run: Run, view: View) -> list[Plane]:
    """Return the charts that there are figures for."""
    return [made for across, up in PAIRS if (made := _plane(run, view, across, up))]


def _plane(run: Run, view: View, across: str, up: str) -> Plane | None:
    found = {
        row.arm: (row, x, y)
        for row in view.rows
        if (x := _cell(row, across)) and (y := _cell(row, up))
    }
    if not found:
        return None
    places = {arm: (x.middle, y.middle) for arm, (_, x, y) in found.items()}
    places["baseline"] = (1.0, 0.0 if up == "quality" else 1.0)
    best = front(places)
    large = sizes({arm: _bytes(run, arm) for arm in places})
    spots = [_spot(row, x, y, large[row.arm]) for row, x, y in found.values()]
    spots.append(_baseline(up, large["baseline"]))
    x_axis = _axis(run, across, [x for _, x, _ in found.values()])
    y_axis = _axis(run, up, [y for _, _, y in found.values()])
    title = f"{_name(run, across)} against {_name(run, up)}"
    return Plane(title, scatter(x_axis, y_axis, spots, best, title), tuple(best))


def _cell(row: Row, column: str) -> Cell | None:
    if column == "quality" and row.quality is None and row.quality_text == "same losses":
        return NO_CHANGE
    return {"time": row.time, "memory": row.memory, "quality": row.quality}[column]


def _axis(run: Run, column: str, cells: Sequence[Cell]) -> Axis:
    middles = [cell.middle for cell in cells]
    if column != "quality":
        scale = ratio_scale(middles, [end for c in cells for end in (c.low, c.high) if end])
        better = {"time": "faster", "memory": "less memory"}[column]
        return Axis(scale, ratio_ticks(scale), f"{column}, baseline / arm ({better} →)")
    reach = 3 * max([run.comparison.margin, *map(abs, middles)])
    ends = [e for c in cells for e in (c.low, c.high) if e is not None and abs(e) <= reach]
    scale = linear_scale([0.0, -run.comparison.margin, *middles, *ends])
    sign = -1.0 if run.target.lower else 1.0
    factor, unit = (100.0, " %") if run.comparison.margin_is_relative else (1.0, "")
    found = ticks(scale, lambda value: signed(sign * factor * value) + unit)
    return Axis(scale, found, f"change of {run.header.metric} (better →)")


def _spot(row: Row, x: Cell, y: Cell, size: float) -> Spot:
    says = f"{row.arm}: {row.verdict}; {x.text}, {y.text}"
    return Spot(row.arm, row.tone, (x.low, x.middle, x.high), (y.low, y.middle, y.high), size, says)


def _baseline(up: str, size: float) -> Spot:
    y = 0.0 if up == "quality" else 1.0
    return Spot("baseline", "base", (None, 1.0, None), (None, y, None), size, "baseline")


def _bytes(run: Run, arm: str) -> float | None:
    own = run.figures.get(arm)
    return own.memory.peak if own else None


def _name(run: Run, column: str) -> str:
    return run.header.metric if column == "quality" else column
