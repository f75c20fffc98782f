"""Two objectives against each other: arms as dots, their intervals as crosses, the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.records.measurement import BASELINE
from reports.charts.marks import dot, element, label, line
from reports.charts.plane import Axis, down, plane

SMALLEST, LARGEST = 4.0, 14.0
"""Radii in pixels."""
MANY = 40
"""Of more arms, intervals are drawn for those on the front alone: they would hide the dots."""
APART = 0.25, 0.07
"""Of the width and of the height, so far names are apart."""
NAMED, LETTERS, NARROW = 8, 40, 20
"""Arms whose names stand beside their dots, how much of a name, and of one on a narrow screen."""


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
    parts += [_name(spot, x, y) for spot in _named(told, x, y)]
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


def _named(spots: Sequence[Spot], x: Axis, y: Axis) -> list[Spot]:
    """Return those whose names don't lie over one another."""
    chosen: list[Spot] = []
    for spot in spots:
        if all(_apart(spot, other, x, y) for other in chosen):
            chosen.append(spot)
    return chosen


def _apart(one: Spot, other: Spot, x: Axis, y: Axis) -> bool:
    across = abs(x.scale.share(one.x[1]) - x.scale.share(other.x[1]))
    deep = abs(y.scale.share(one.y[1]) - y.scale.share(other.y[1]))
    return across > APART[0] or deep > APART[1]


def shortened(name: str) -> str:
    """Return a name as it stands beside its dot; the whole one is told there, and in the table."""
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _name(spot: Spot, x: Axis, y: Axis) -> str:
    """Return a dot's name, above and right of it or below and left: the front passes neither."""
    right = x.scale.share(spot.x[1]) < 0.5
    across, deep, anchor = (17, -8, "start") if right else (-17, 16, "end")
    class_ = "name long" if len(spot.arm) > NARROW else "name"
    name = label(across, deep, shortened(spot.arm), class_, anchor)
    return element("svg", name, x=x.scale.at(spot.x[1]), y=down(y, spot.y[1]), overflow="visible")
