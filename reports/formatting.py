"""Numbers as words with units. The only place where anything is rounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from bench.analysis.intervals import Interval
from bench.records.text import amount

UNKNOWN = "unknown"
DROWNED = 9.0
"""An interval around 1 that is wider than times and divided by 3 says nothing."""
MINUS = "−"
LEAST_SHOWN, ROUNDING = 1e-4, 1e-9
"""A difference with no end this large is shown with more than four decimals, but for rounding."""
Show = Callable[[float | None], str]


def seconds(value: float | None) -> str:
    """Return a time: ``12.3 µs``, ``4.56 ms``, ``7.89 s``, ``12.3 min`` or ``4.5 h``."""
    if value is None:
        return UNKNOWN
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (120.0, 1.0, "s"),
                                (7200.0, 1 / 60, "min")):  # fmt: skip
        if value < limit:
            return f"{_three(value * factor)} {unit}"
    return f"{_three(value / 3600)} h"


def to_target(median: float | None, reached: tuple[int, int] | None) -> str:
    """Return when trainings reached their target, ``12.3 s (4 of 6)``; unless most never did.

    Where exactly half did, the median is open.
    """
    if reached is None:
        return UNKNOWN
    count = f"{reached[0]} of {reached[1]}"
    if median is not None:
        return f"{seconds(median)} ({count})"
    if 2 * reached[0] == reached[1]:
        return f"open ({count} reached it)"
    return f"not reached ({count})"


def size(value: float | None) -> str:
    """Return bytes in powers of 1024: ``812 B``, ``1.50 MiB``."""
    if value is None:
        return UNKNOWN
    sign, amount = (MINUS if value < 0 else ""), abs(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{sign}{amount:.0f} B" if unit == "B" else f"{sign}{_three(amount)} {unit}"


def flops(value: float | None) -> str:
    """Return a count of floating-point operations: ``1.23 GFLOPs``. It is no rate."""
    return UNKNOWN if value is None else f"{_scaled(value)}FLOPs"


def count(value: float | None) -> str:
    """Return a whole number with separators."""
    return UNKNOWN if value is None else f"{round(value):,}"


def rate(value: float | None, unit: str) -> str:
    """Return items a second."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f} {unit}/s" if value >= 100 else f"{_three(value)} {unit}/s"


def energy(value: float | None) -> str:
    """Return joules."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f} J" if value >= 100 or not value else f"{_three(value)} J"


def percent(share: float | None) -> str:
    """Return a share as per cent; what is above 0 is never shown as 0."""
    if share is None:
        return UNKNOWN
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{share:.1%}".replace("%", " %") if share < 0.1 else f"{share:.0%}".replace("%", " %")


def ratio(value: float | None) -> str:
    """Return baseline / candidate: ``1.23×``."""
    return UNKNOWN if value is None else f"{_digits(value, 2)}×"


def ratio_with_interval(interval: Interval | None) -> str:
    """Return ``1.23× [1.18, 1.28]``, with a third decimal where the interval is that narrow."""
    if interval is None:
        return UNKNOWN
    low, middle, high = interval
    if low is None or high is None:
        return f"{ratio(middle)} (no interval)"
    if low < 1 < high and high / low > DROWNED:
        return f"{UNKNOWN} (noise)"
    places = 3 if high - low < 0.02 else 2
    return f"{_digits(middle, places)}× {_bounds(_digits(low, places), _digits(high, places))}"


def metric(value: float | None) -> str:
    """Return a quality metric with four decimals, or as many digits as tell a large or small."""
    if value is None:
        return UNKNOWN
    if abs(value) < 10:
        return amount(value)
    return f"{value:.4g}" if not 1000 <= abs(value) < 1e15 else f"{value:,.0f}"


def metric_with_interval(interval: Interval | None) -> str:
    """Return ``0.9830 [0.9780, 0.9880]``."""
    if interval is None:
        return UNKNOWN
    low, middle, high = interval
    if low is None or high is None:
        return f"{metric(middle)} (no interval)"
    if low == high:
        return f"{metric(middle)} (equal in all)"
    return f"{metric(middle)} {_bounds(metric(low), metric(high))}"


def difference(found: float) -> str:
    """Return a difference of a metric with its sign."""
    return _signed(found, metric)


def difference_with_interval(interval: Interval | None, share: bool = False) -> str:
    """Return ``−0.0010 [−0.0040, +0.0020]``; of a share ``−0.10 % [−0.40 %, +0.20 %]``."""
    if interval is None:
        return UNKNOWN
    low, middle, high = interval
    show = _signed_share if share else _differences(interval)
    if low is None or high is None:
        return f"{show(middle)} (no interval)"
    if low == high:
        return f"{show(middle)} (equal in all)"
    return f"{show(middle)} {_bounds(show(low), show(high))}"


def margin(size: float, share: bool) -> str:
    """Return the largest loss that is accepted: ``0.01``, or ``1 %`` of the baseline's metric."""
    return f"{100 * size:.4g} % of the baseline's" if share else f"{size:.4g}"


def number(amount: float, one: str, many: str | None = None) -> str:
    """Return ``1 pair`` or ``3 pairs``."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"


def listing(words: Sequence[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))


def few(words: Sequence[str], most: int = 3) -> str:
    """Return a listing of the first, with how many others there are."""
    if len(words) <= most + 1:
        return listing(words)
    return f"{', '.join(words[:most])} and {len(words) - most} others"


def value(found: Any) -> str:
    """Return a setting's value as a user would type it."""
    if found is None:
        return "none"
    if isinstance(found, bool):
        return str(found).lower()
    return f"{found:g}" if isinstance(found, float) else str(found)


def assignments(values: dict[str, Any]) -> str:
    """Return settings as ``key=value, key=value``."""
    return ", ".join(f"{key}={value(found)}" for key, found in values.items())


def _differences(interval: Interval) -> Callable[[float], str]:
    """Return what shows the ends of one interval alike: with four decimals, if these tell it."""
    largest = max(abs(end) for end in interval if end is not None)
    if largest >= LEAST_SHOWN:
        return lambda found: _signed(
            found, lambda value: f"{value:.4f}" if value < 10 else metric(value)
        )
    return lambda found: _signed(found if abs(found) > largest * ROUNDING else 0.0, metric)


def _signed(found: float, show: Callable[[float], str]) -> str:
    text = show(abs(found))
    if not float(text.replace(",", "")):
        return text
    return f"{MINUS if found < 0 else '+'}{text}"


def _bounds(low: str, high: str) -> str:
    return f"[{low}, {high}]"


def _signed_share(found: float) -> str:
    text = f"{abs(100 * found):.2f} %"
    return text if not round(100 * found, 2) else f"{MINUS if found < 0 else '+'}{text}"


def _digits(found: float, places: int) -> str:
    """Return so many decimals near 1, three digits elsewhere."""
    if found != 0 and (abs(found) < 0.1 or abs(found) >= 10):
        return f"{found:.3g}"
    return f"{found:.{places}f}"


def _three(found: float) -> str:
    """Return three significant digits, never in powers of ten."""
    if found == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(found))))
    return f"{found:,.{min(places, 3)}f}"


def _scaled(found: float) -> str:
    for factor, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(found) >= factor:
            return f"{_three(found / factor)} {unit}"
    return f"{_three(found)} "
