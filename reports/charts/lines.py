"""Learning curves: means as lines, ranges as bands, a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.analysis.curves import Curve
from reports.charts.marks import dot, element, line, path
from reports.charts.plane import Axis, down, plane

GRID = 1000.0
"""Of the drawing inside, in both directions; it is stretched to its place."""


def lines(
    x: Axis, y: Axis, curves: Mapping[str, Curve], colours: Sequence[str], said: str,
    target: float | None = None,
) -> str:  # fmt: skip
    """Return the chart of some arms' curves; those without a colour wait until they are chosen."""
    parts = [_arm(arm, curve, x, y, _colour(arm, colours)) for arm, curve in curves.items()]
    if target is not None:
        parts.insert(0, line("0%", down(y, target), "100%", down(y, target), "target"))
    return plane(x, y, "".join(parts), said)


def _colour(arm: str, colours: Sequence[str]) -> int | None:
    return colours.index(arm) if arm in colours else None


def _arm(arm: str, curve: Curve, x: Axis, y: Axis, colour: int | None) -> str:
    class_ = f"curve c{colour}" if colour is not None else "curve off"
    if len(curve.at) == 1:
        inside = dot(x.scale.at(curve.at[0]), down(y, curve.mean[0]), 4, "point", arm)
        return element("g", inside, data_arm=arm, class_=class_)
    across = [GRID * x.scale.share(at) for at in curve.at]
    low, mean, high = (
        [GRID * (1 - y.scale.share(value)) for value in values]
        for values in (curve.low, curve.mean, curve.high)
    )
    around = [*zip(across, high, strict=True), *reversed([*zip(across, low, strict=True)])]
    inside = element("path", d=path(around, close=True), class_="range")
    inside += element("path", d=path(zip(across, mean, strict=True)), class_="mean",
                      vector_effect="non-scaling-stroke")  # fmt: skip
    stretched = element("svg", inside, width="100%", height="100%", preserveAspectRatio="none",
                        viewBox=f"0 0 {GRID:g} {GRID:g}")  # fmt: skip
    return element("g", stretched, data_arm=arm, class_=class_)
