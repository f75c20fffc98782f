"""A row of a forest plot: an interval, its pairs as dots, the A/A band and the margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.charts.marks import area, dot, drawing, label, line, shape
from reports.charts.scale import Scale

HEIGHT = 30
MIDDLE, DOTS = 11, 24
"""Pixels from the top at which intervals and dots lie."""
AXIS = 18


@dataclass(frozen=True, slots=True)
class Panel:
    """What all rows of one column share."""

    scale: Scale
    ticks: Sequence[tuple[float, str]]
    nothing: float
    """Where nothing was gained and nothing lost."""
    band: tuple[float, float] | None = None
    """Between what equal runs differ by (A/A)."""
    limit: float | None = None
    """The margin."""


def cell(
    panel: Panel, tone: str, middle: float, low: float | None, high: float | None,
    points: Sequence[float] = (),
) -> str:  # fmt: skip
    """Return the inside of a row's chart."""
    scale = panel.scale
    return "".join(
        [
            background(panel, HEIGHT),
            *_whisker(scale, low, high, tone),
            *(dot(scale.at(p), DOTS, 1.9, f"pair {tone}") for p in points),
            shape(scale.at(middle), MIDDLE, tone),
        ]
    )


def background(panel: Panel, height: float) -> str:
    """Return band, line of no effect and margin of a row."""
    scale = panel.scale
    parts = []
    if panel.band:
        low, high = (scale.share(end) for end in panel.band)
        parts.append(area(low, high, 0, height, "band"))
    parts.append(line(scale.at(panel.nothing), 0, scale.at(panel.nothing), height, "nothing"))
    if panel.limit is not None:
        parts.append(line(scale.at(panel.limit), 0, scale.at(panel.limit), height, "limit"))
    return "".join(parts)


def axis(panel: Panel) -> str:
    """Return the inside of a column's axis: its ticks."""
    scale = panel.scale
    return "".join(
        label(scale.at(tick), 12, words, "tick", _anchor(scale.share(tick)))
        for tick, words in panel.ticks
    )


def row(inside: str) -> str:
    """Return a row's chart for a page, where its figures stand beside it."""
    return drawing([inside], HEIGHT, "cell")


def _whisker(scale: Scale, low: float | None, high: float | None, tone: str) -> list[str]:
    if low is None or high is None:
        return []
    left, right = min(low, high), max(low, high)
    parts = [line(scale.at(left), MIDDLE, scale.at(right), MIDDLE, f"whisker {tone}")]
    if not scale.holds(left):
        parts.append(label("0%", MIDDLE + 4, "‹", f"beyond {tone}", "start"))
    if not scale.holds(right):
        parts.append(label("100%", MIDDLE + 4, "›", f"beyond {tone}", "end"))
    return parts


def _anchor(share: float) -> str:
    return "start" if share < 0.08 else "end" if share > 0.92 else "middle"
