"""Hold what was measured against what was published: pure functions of intervals.

Everything is laid on an axis on which more is better, where that is known: the logarithm of a ratio
before / after, or a plain number. A claim is a range on it; what is measured, an interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from bench.analysis.intervals import Interval
from bench.analysis.sequential import LEAST_GAIN
from bench.records.audit import Stated

SLACK = math.log(1.05)
"""Of a ratio: another day, or machine, may cost that much (`bench verify` allows as much)."""
SHARE = 0.1
"""Of a claimed change, by which it may be missed."""
HALF = 0.5
"""Who gains less than that share of what was claimed is refuted, not partly right."""


class Held(StrEnum):
    """What measurements say of a claim."""

    CONFIRMED = "confirmed"
    EXCEEDED = "exceeded"
    PARTLY = "partly"
    """A gain that is surely less than claimed, and not surely less than half of it."""
    REFUTED = "refuted"
    OPEN = "can't be told"
    UNTESTABLE = "not testable here"


class Axis(NamedTuple):
    """A claim as a range on an axis on which more is better; `none` is no gain."""

    low: float
    high: float
    none: float | None
    slack: float
    sign: int = 1
    logs: bool = False
    least: float = 0.0
    """How far beyond none a gain must surely be to be one."""
    two_sided: bool = False
    """Whether neither side is better: beyond either end it is refuted."""

    def at(self, value: float, form: str) -> float:
        """Return where a measured value lies."""
        return self.sign * (_log(_ratio(value, form)) if self.logs else value)

    def interval(self, found: Interval, form: str) -> tuple[float, float]:
        """Return the bounds of what was measured; infinite where it has none."""
        if found.low is None or found.high is None:
            return -math.inf, math.inf
        one, other = self.at(found.low, form), self.at(found.high, form)
        return min(one, other), max(one, other)


def axis_of(claim: Stated) -> Axis:
    """Return what a claim says as a range on its axis."""
    low, high = claim.range
    if claim.form in ("ratio", "less"):
        ends = [None if end is None else _log(_ratio(end, claim.form)) for end in (low, high)]
        least = math.log(LEAST_GAIN)
        gain = ends[0] if ends[0] is not None else ends[1]
        # half of a small gain is nearer than 5 %: else no gain at all would confirm it
        slack = min(SLACK, gain * HALF) if gain is not None and gain > 0 else SLACK
        return Axis(_end(ends[0], -1), _end(ends[1], 1), 0.0, slack, logs=True, least=least)
    sign = -1 if claim.better == "lower" else 1
    own = sorted(sign * end for end in (low, high) if end is not None)
    first = own[0] if (low is not None if sign > 0 else high is not None) else -math.inf
    last = own[-1] if (high is not None if sign > 0 else low is not None) else math.inf
    size = max(map(abs, own))
    if claim.form == "change":
        return Axis(first, last, 0.0, SHARE * size, sign)
    slack = _rounding(own) if None not in (low, high) else 0.0
    return Axis(first, last, None, slack, sign, two_sided=claim.better is None)


def held(claim: Stated, found: Interval | None, final: bool = True) -> Held:
    """Return what an interval says of a claim.

    Before the `final` look a claim that is surely missed stays open while no gain is shown, and one
    that is surely reached while it may be exceeded: more pairs tell.
    """
    if found is None:
        return Held.OPEN
    axis = axis_of(claim)
    low, high = axis.interval(found, claim.form)
    if high < axis.low - axis.slack:
        return _missed(axis, low, high, final)
    if low > axis.high + axis.slack:
        return Held.REFUTED if axis.two_sided else Held.EXCEEDED
    within = high <= axis.high + axis.slack
    if low >= axis.low - axis.slack and (within or (final and not axis.two_sided)):
        return Held.CONFIRMED
    return Held.OPEN


def _missed(axis: Axis, low: float, high: float, final: bool) -> Held:
    gain = axis.none is not None and axis.low > axis.none + axis.least
    if not gain or axis.none is None:
        return Held.REFUTED
    if high < axis.none + HALF * (axis.low - axis.none):
        return Held.REFUTED
    if low > axis.none + axis.least:
        return Held.PARTLY
    return Held.REFUTED if final else Held.OPEN


def needed(claim: Stated, found: Interval | None, pairs: int) -> int | None:
    """Return about how many pairs would tell, as the interval narrows by their root."""
    if found is None or found.low is None or pairs < 1:
        return None
    axis = axis_of(claim)
    low, high = axis.interval(found, claim.form)
    half, middle = (high - low) / 2, axis.at(found.middle, claim.form)
    edges = [axis.low - axis.slack, axis.high + axis.slack]
    away = min((abs(middle - edge) for edge in edges if math.isfinite(edge)), default=0.0)
    if away <= 0 or not math.isfinite(half):
        return None
    return max(pairs + 1, math.ceil(pairs * (half / away) ** 2))


def counted(verdicts: Sequence[Held]) -> dict[Held, int]:
    """Return how many claims have each verdict, in order."""
    return {held: verdicts.count(held) for held in Held if held in verdicts}


def _rounding(published: Sequence[float]) -> float:
    """Return half a unit in the last place of the numbers that were published."""
    places = [-int(Decimal(f"{value:.12g}").normalize().as_tuple().exponent) for value in published]
    return float(0.5 * 10.0 ** -max(0, *places))


def _ratio(value: float, form: str) -> float:
    """Return a ratio of what is given as one, or as the share by which it is less."""
    return 1 / max(1 - value, 1e-300) if form == "less" else value


def _log(ratio: float) -> float:
    return math.log(max(ratio, 1e-300))


def _end(end: float | None, sign: int) -> float:
    return sign * math.inf if end is None else end
