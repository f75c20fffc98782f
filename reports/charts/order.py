"""All trials in the order in which they ran: their pace, and the machine's load below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reports.charts.marks import dot, element, label, line, text
from reports.charts.plane import Axis, down, plane
from reports.charts.scale import Scale, log_scale, plain, ratio_ticks, ticks

MOST = 1500
"""Trials drawn one by one; of more, each mark is the slowest of several neighbours."""


class Ran(NamedTuple):
    """One trial: how long an item took beside its arm's median, and what went on around it."""

    arm: str
    pace: float | None
    load: float | None
    kind: str
    """``baseline``, ``arm``, ``disturbed`` or ``lost``."""
    says: str


def in_order(ran: Sequence[Ran], cores: int | None) -> str:
    """Return both charts, one above the other."""
    shown = _fewer(ran)
    across = Scale(0.0, max(1.0, float(len(shown))))
    marks = {len(shown) // 2, len(shown)}
    group = len(ran) / max(1, len(shown))
    x = Axis(across, [(float(n), f"{round(n * group):,}") for n in sorted({0, *marks})], "trial")
    loads = [one.load for one in shown if one.load is not None]
    return _paces(shown, x) + (_loads(shown, x, loads, cores) if loads else "")


def _paces(ran: Sequence[Ran], x: Axis) -> str:
    known = [one.pace for one in ran if one.pace]
    scale = log_scale([*known, 0.8, 1.25])
    y = Axis(scale, ratio_ticks(scale), "beside its median")
    parts = [line("0%", down(y, 1.0), "100%", down(y, 1.0), "nothing")]
    for place, one in enumerate(ran):
        where = x.scale.at(place + 0.5)
        if one.pace is None:
            parts.append(_lost(where, one))
        else:
            parts.append(dot(where, down(y, one.pace), 3.2, f"ran {one.kind}", one.says,
                             data_arm=one.arm))  # fmt: skip
    return plane(x, y, "".join(parts), "Pace of each trial, in order", 240)


def _lost(where: str, one: Ran) -> str:
    cross = label(0, -4, "×", "lost")
    said = element("title", text(one.says))
    return element("svg", said + cross, x=where, y="100%", overflow="visible", data_arm=one.arm)


def _loads(ran: Sequence[Ran], x: Axis, loads: Sequence[float], cores: int | None) -> str:
    scale = Scale(0.0, max([*loads, float(cores or 1)]) * 1.1)
    y = Axis(scale, ticks(scale, plain)[:4], "load")
    wide = 1 / max(1, len(ran))
    parts = [
        element("rect", x=f"{100 * place * wide:.2f}%", y=down(y, one.load),
                width=f"{85 * wide:.2f}%", height=f"{100 * y.scale.share(one.load):.2f}%",
                class_="load")
        for place, one in enumerate(ran)
        if one.load
    ]  # fmt: skip
    if cores:
        parts.append(line("0%", down(y, float(cores)), "100%", down(y, float(cores)), "limit"))
    said = "Load average of the machine during each trial; the line is its number of cores"
    return plane(x, y, "".join(parts), said, 130)


def _fewer(ran: Sequence[Ran]) -> list[Ran]:
    wide = -(-len(ran) // MOST) or 1
    groups = [ran[begin : begin + wide] for begin in range(0, len(ran), wide)]
    return [
        max(group, key=lambda one: (one.kind == "disturbed", one.pace or 0)) for group in groups
    ]
