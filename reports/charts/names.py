"""Where the names of dots stand: beside them, and none over another on any width of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reports.charts.marks import element, label
from reports.charts.plane import LEFT

WIDTHS = 240, 420, 640, 1100
"""Of the drawing in pixels, from a telephone's to a desk's."""
RIGHT = 18
"""Pixels that the page leaves free at the right of the drawing."""
CORNERS = ((17, -8, "start"), (-17, 16, "end"), (-17, -8, "end"), (17, 16, "start"))
"""Places around a dot: the front falls to the right and so passes neither of the first two."""
LETTER, TALL = 6.2, 13
LETTERS, NARROW = 40, 20
"""How much of a name is shown, and of one on a narrow screen."""


class Box(NamedTuple):
    """What a name covers: pixels from its dot, which lies at a share of the width."""

    share: float
    left: float
    right: float
    bottom: float
    long: bool

    @property
    def widths(self) -> tuple[int, ...]:
        """Return the widths at which the name is shown."""
        return WIDTHS[2:] if self.long else WIDTHS

    def inside(self) -> bool:
        """Tell whether the name ends within the drawing and the room around it."""
        return all(
            self.share * wide + self.left > -LEFT and self.share * wide + self.right < wide + RIGHT
            for wide in self.widths
        )

    def clear(self, other: Box) -> bool:
        """Tell whether neither name lies over the other."""
        if abs(self.bottom - other.bottom) >= TALL:
            return True
        both = [wide for wide in self.widths if wide in other.widths]
        return all(
            self.share * wide + self.right < other.share * wide + other.left
            or other.share * wide + other.right < self.share * wide + self.left
            for wide in both
        )


def names(dots: Sequence[tuple[str, float, float]], deep: float) -> list[str]:
    """Return the names that find a place, those told first before others.

    `dots` are names with their shares of the width and, from above, of the `deep` pixels.
    """
    taken: list[Box] = []
    parts = []
    for name, across, down in dots:
        for corner in CORNERS if across < 0.5 else (CORNERS[1], CORNERS[0], *CORNERS[2:]):
            box = _box(name, across, down * deep, corner)
            if box.inside() and all(box.clear(other) for other in taken):
                taken.append(box)
                parts.append(_drawn(name, across, down, corner, box.long))
                break
    return parts


def shortened(name: str, letters: int = LETTERS) -> str:
    """Return a name as it stands in a drawing: both ends, as combinations often begin alike."""
    half = (letters - 1) // 2
    return name if len(name) <= letters else f"{name[: letters - 1 - half]}…{name[-half:]}"


def _box(name: str, across: float, down: float, corner: tuple[int, int, str]) -> Box:
    wide = LETTER * len(shortened(name))
    left = corner[0] if corner[2] == "start" else corner[0] - wide
    return Box(across, left, left + wide, down + corner[1], len(name) > NARROW)


def _drawn(name: str, across: float, down: float, corner: tuple[int, int, str], long: bool) -> str:
    words = label(corner[0], corner[1], shortened(name), "name long" if long else "name", corner[2])
    x, y = f"{100 * across:.2f}%", f"{100 * down:.2f}%"
    return element("svg", words, x=x, y=y, overflow="visible")
