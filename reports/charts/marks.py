"""The few elements of SVG that charts are made of. Every text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from bench.records.text import printable

SHAPES = {
    "good": "M-6 0L0 -6L6 0L0 6Z",
    "bad": "M-4.5 -4.5H4.5V4.5H-4.5Z",
    "open": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z",
    "none": "M-5 4.5L0 -5L5 4.5Z",
}
"""Of the middle of an interval, by what is said of the arm: shape as well as colour."""

Place = float | str
"""Pixels, or per cent as a text."""


def element(name: str, inside: str = "", **attributes: object) -> str:
    """Return an element; ``class_`` is class, and ``_`` in other names is ``-``."""
    words = "".join(
        f' {key.strip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{words}>{inside}</{name}>" if inside else f"<{name}{words}/>"


def text(value: object) -> str:
    """Return a value as text that no markup is made of."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return escape(printable(str(value)))


def line(x1: Place, y1: Place, x2: Place, y2: Place, class_: str) -> str:
    """Return a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def dot(x: Place, y: Place, r: float, class_: str, title: str = "", **data: object) -> str:
    """Return a circle, with what is said of it when it is pointed at."""
    inside = element("title", text(title)) if title else ""
    return element("circle", inside, cx=x, cy=y, r=r, class_=class_, **data)


def label(x: Place, y: Place, words: str, class_: str = "tick", anchor: str = "middle") -> str:
    """Return a text; it ends, begins or has its middle at the place."""
    return element("text", text(words), x=x, y=y, class_=class_, text_anchor=anchor)


def shape(x: Place, y: Place, kind: str) -> str:
    """Return the mark of a kind in `SHAPES` around a place."""
    mark = element("path", d=SHAPES[kind], class_=f"mark {kind}")
    return element("svg", mark, x=x, y=y, overflow="visible", width=1, height=1)


def area(x1: float, x2: float, y: float, height: float, class_: str) -> str:
    """Return a rectangle between two shares of the width."""
    low, high = min(x1, x2), max(x1, x2)
    return element("rect", x=f"{100 * low:.2f}%", y=y, width=f"{100 * (high - low):.2f}%",
                   height=height, class_=class_)  # fmt: skip


def path(points: Iterable[tuple[float, float]], close: bool = False) -> str:
    """Return what draws a line through points."""
    joined = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f"M{joined}{'Z' if close else ''}" if joined else ""


def drawing(inside: Iterable[str], height: float, class_: str = "", label: str = "") -> str:
    """Return a chart as wide as the place that it stands in; without a label it only decorates."""
    said: dict[str, object] = (
        {"role": "img", "aria_label": label} if label else {"aria_hidden": "true"}
    )
    return element(
        "svg", "".join(inside), width="100%", height=height, class_=class_ or None, **said
    )
