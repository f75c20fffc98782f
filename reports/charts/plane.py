"""Two axes with a drawing between them: what scatter plots and curves are laid out on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.charts.marks import drawing, element, label, line
from reports.charts.scale import Scale

LEFT, TOP, BOTTOM = 76, 10, 40
"""Pixels around the drawing, for ticks and titles; at its right the page leaves room."""
HEIGHT = 320


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its scale, its ticks, and what it is of."""

    scale: Scale
    ticks: Sequence[tuple[float, str]]
    title: str


def plane(x: Axis, y: Axis, inside: str, said: str, height: int = HEIGHT) -> str:
    """Return a chart; `inside` is drawn in per cent of both axes, as far down as `down` says."""
    deep = height - TOP - BOTTOM
    grid = [line(x.scale.at(v), "0%", x.scale.at(v), "100%", "grid") for v, _ in x.ticks]
    grid += [line("0%", down(y, v), "100%", down(y, v), "grid") for v, _ in y.ticks]
    body = _part("".join([*grid, inside]), height=deep, width="100%")
    words = [label(x.scale.at(v), deep + 16, text) for v, text in x.ticks]
    words += [_part(label(-6, 4, text, anchor="end"), y=down(y, v)) for v, text in y.ticks]
    words.append(label("50%", deep + 34, x.title, "axis"))
    words.append(_upright(y.title, deep))
    whole = _part("".join([body, *words]), x=LEFT, y=TOP, width="100%", height=deep)
    return f'<div class="plane">{drawing([whole], height, "chart", said)}</div>'


def down(axis: Axis, value: float) -> str:
    """Return how far down a value lies, in per cent."""
    return f"{100 * (1 - axis.scale.share(value)):.2f}%"


def _part(inside: str, **place: object) -> str:
    return element("svg", inside, overflow="visible", **place)


def _upright(words: str, deep: int) -> str:
    turned = label(-deep / 2, -64, words, "axis")
    return element("g", turned, transform="rotate(-90)")
