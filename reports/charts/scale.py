"""Scales: values to places along an axis, and the ticks that a reader needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reports import formatting

WIDEST = 4.0
"""How far beyond the middles an interval is drawn, as a factor: noise must not drown the rest."""
NARROWEST = 1.25
APART = 0.17
"""Of an axis, so much lies between two of its labels at least."""
LETTER, GAP = 7.0, 5
"""Pixels of a label's letter where it is bold, and between two labels."""
RATIO_TICKS = (
    0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.33, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1,
    1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 50.0, 100.0, 1000.0,
)  # fmt: skip
MOST_TICKS = 5
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`; a log scale holds values above 0 alone."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """Return where a value lies, from 0 to 1; what is beyond an end lies at the end."""
        low, high, found = (self._place(v) for v in (self.low, self.high, value))
        return min(1.0, max(0.0, (found - low) / (high - low)))

    def at(self, value: float) -> str:
        """Return where a value lies, in per cent."""
        return f"{100 * self.share(value):.2f}%"

    def holds(self, value: float) -> bool:
        """Tell whether a value lies within."""
        return self.low <= value <= self.high

    def _place(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.log else value


def ratio_scale(middles: Iterable[float], ends: Iterable[float]) -> Scale:
    """Return a log scale around 1; `ends` are shown as far as `WIDEST` beyond `middles`."""
    inner = [1.0, *middles]
    low, high = min(inner) / WIDEST, max(inner) * WIDEST
    shown = [min(high, max(low, end)) for end in ends]
    least, most = min([*inner, *shown]), max([*inner, *shown])
    return Scale(min(least / 1.05, 1 / NARROWEST), max(most * 1.05, NARROWEST), log=True)


def linear_scale(values: Iterable[float]) -> Scale:
    """Return a linear scale a little wider than its values."""
    known = list(values) or [0.0]
    low, high = min(known), max(known)
    room = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    return Scale(low - room, high + room)


def log_scale(values: Iterable[float]) -> Scale:
    """Return a log scale a little wider than its values, which are above 0."""
    known = [value for value in values if value > 0] or [1.0]
    return Scale(min(known) / 1.15, max(known) * 1.15, log=True)


def ratio_ticks(scale: Scale, least: float = APART) -> list[tuple[float, str]]:
    """Return ratios within a scale, from 1 outwards as near as labels allow, with their labels."""
    chosen = [1.0]
    for tick in sorted(RATIO_TICKS, key=lambda tick: abs(math.log(tick))):
        apart = min(abs(scale.share(tick) - scale.share(other)) for other in chosen)
        if scale.holds(tick) and apart >= least:
            chosen.append(tick)
    return [(tick, f"{tick:g}×") for tick in sorted(chosen)]


def ticks(
    scale: Scale, label: Callable[[float], str], most: int = MOST_TICKS
) -> list[tuple[float, str]]:
    """Return a few round values within a scale, with their labels."""
    found = _decades(scale, most) if scale.log else _even(scale, most)
    return [(tick, label(tick)) for tick in found]


def spaced(
    found: Sequence[tuple[float, str]], scale: Scale, wide: float
) -> list[tuple[float, str]]:
    """Return those ticks whose labels leave one another room on `wide` pixels, 0 first."""
    chosen: list[tuple[float, str]] = []
    for value, words in sorted(found, key=lambda tick: abs(tick[0])):
        if all(
            abs(scale.share(value) - scale.share(other)) * wide
            >= LETTER * (len(words) + len(beside)) / 2 + GAP
            for other, beside in chosen
        ):
            chosen.append((value, words))
    return sorted(chosen)


def plain(value: float) -> str:
    """Return a tick's value with three digits at most."""
    text = f"{abs(value):.3g}"
    return (formatting.MINUS if value < 0 else "") + text


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return f"+{plain(value)}" if value > 0 else plain(value)


def _even(scale: Scale, most: int) -> list[float]:
    rough = (scale.high - scale.low) / most
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * part for part in STEPS if size * part >= rough * 0.999)
    first = math.ceil(scale.low / step)
    last = math.floor(scale.high / step)
    return [round(n * step, 12) for n in range(first, last + 1)]


def _decades(scale: Scale, most: int) -> list[float]:
    begin, end = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    parts = (1.0, 2.0, 5.0) if end - begin <= 3 else (1.0,)
    known = [part * 10.0**n for n in range(begin, end + 1) for part in parts]
    inside = [tick for tick in known if scale.holds(tick)]
    while len(inside) > most:
        inside = inside[::2]
    return inside if len(inside) > 1 else _even(scale, most)
