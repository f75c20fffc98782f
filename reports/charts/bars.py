"""Rows of bars: what a whole is made of, how steps are spread, what each technique adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.charts.intervals import MIDDLE, Panel, background
from reports.charts.marks import area, drawing, line, shape
from reports.charts.scale import Scale

HEIGHT = 22


def stacked(parts: Mapping[str, float], order: Sequence[str], longest: float) -> str:
    """Return one bar of parts side by side; `longest` is as wide as the place."""
    begin, drawn = 0.0, []
    for name, value in parts.items():
        share = value / longest if longest > 0 else 0.0
        drawn.append(area(begin, begin + share, 3, HEIGHT - 6, f"part p{order.index(name) % 8}"))
        begin += share
    return drawing(drawn, HEIGHT, "cell")


def spread(quantiles: Sequence[float], scale: Scale) -> str:
    """Return a box from the first to the third of five quantiles' quarters, with its ends."""
    least, low, middle, high, most = (scale.share(value) for value in quantiles)
    y = HEIGHT / 2
    return drawing(
        [
            line(f"{100 * least:.2f}%", y, f"{100 * most:.2f}%", y, "whisker none"),
            area(low, high, 4, HEIGHT - 8, "box"),
            line(f"{100 * middle:.2f}%", 2, f"{100 * middle:.2f}%", HEIGHT - 2, "median"),
        ],
        HEIGHT,
        "cell",
    )


def step(
    panel: Panel, before: float, after: float, low: float | None, high: float | None, tone: str
) -> str:
    """Return one step of a waterfall, from what was gained before it to what is gained after."""
    scale = panel.scale
    parts = [background(panel, HEIGHT)]
    parts.append(area(scale.share(before), scale.share(after), 4, HEIGHT - 8, f"step {tone}"))
    if low is not None and high is not None:
        parts.append(line(scale.at(low), MIDDLE, scale.at(high), MIDDLE, "whisker none"))
    parts.append(shape(scale.at(after), MIDDLE, tone))
    return drawing(parts, HEIGHT, "cell")
