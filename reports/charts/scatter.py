"""Two objectives against each other: arms as dots, their intervals as crosses, the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.records.measurement import BASELINE
from reports.charts.marks import dot, element, line
from reports.charts.names import names
from reports.charts.plane import BOTTOM, HEIGHT, TOP, Axis, down, plane

SMALLEST, LARGEST = 4.0, 14.0
"""Radii in pixels."""
MANY = 40
"""Of more arms, intervals are drawn for those on the front alone: they would hide the dots."""
NAMED = 8
"""Arms of the front whose names stand beside their dots."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One arm: middles and ends of its intervals in both objectives."""

    arm: str
    tone: str
    x: tuple[float | None, float, float | None]
    y: tuple[float | None, float, float | None]
    size: float
    """From 0 to 1."""
    says: str


def scatter(x: Axis, y: Axis, spots: Sequence[Spot], front: Sequence[str], said: str) -> str:
    """Return the chart; `front` names arms in order."""
    places = {spot.arm: spot for spot in spots}
    parts = _front([places[arm] for arm in front if arm in places], x, y)
    parts += (
        [line(x.scale.at(1.0), "0%", x.scale.at(1.0), "100%", "nothing")] if x.scale.log else []
    )
    crossed = front if len(spots) > MANY else places
    parts += [_spot(spot, x, y, spot.arm in crossed) for spot in spots]
    told = [places[arm] for arm in dict.fromkeys((*front[:NAMED], BASELINE)) if arm in places]
    shares = [(spot.arm, x.scale.share(spot.x[1]), 1 - y.scale.share(spot.y[1])) for spot in told]
    parts += names(shares, HEIGHT - TOP - BOTTOM)
    return plane(x, y, "".join(parts), said)


def sizes(found: Mapping[str, float | None]) -> dict[str, float]:
    """Return, from 0 to 1, how large each arm is drawn; what is unknown is drawn smallest."""
    known = [value for value in found.values() if value]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    return {
        arm: (value - low) / (high - low) if value and high > low else 0.0
        for arm, value in found.items()
    }


def _spot(spot: Spot, x: Axis, y: Axis, crossed: bool) -> str:
    across, deep = x.scale.at(spot.x[1]), down(y, spot.y[1])
    cross = []
    if crossed and spot.x[0] is not None and spot.x[2] is not None:
        cross.append(line(x.scale.at(spot.x[0]), deep, x.scale.at(spot.x[2]), deep, "cross"))
    if crossed and spot.y[0] is not None and spot.y[2] is not None:
        cross.append(line(across, down(y, spot.y[0]), across, down(y, spot.y[2]), "cross"))
    radius = SMALLEST + (LARGEST - SMALLEST) * spot.size
    mark = dot(across, deep, radius, f"spot {spot.tone}", spot.says)
    return element("g", "".join([*cross, mark]), data_arm=spot.arm)


def _front(spots: Sequence[Spot], x: Axis, y: Axis) -> list[str]:
    return [
        line(x.scale.at(a.x[1]), down(y, a.y[1]), x.scale.at(b.x[1]), down(y, b.y[1]), "front")
        for a, b in pairwise(spots)
    ]
