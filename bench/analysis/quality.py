"""What says that a model is as good as before, where pairs of seeds alone say little.

Losses that agree, for techniques that change no mathematics; the items of one test part, for models
that were converted, and for the spread that a few seeds can't tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from bench.analysis.intervals import Interval, standard_error, t_quantile

LEAST_STEPS = 15
"""Steps over which losses must agree to say anything."""
REORDERED = 1e-4
"""The relative difference of losses that other orders of the same sums leave (float32)."""
PRIOR_FREEDOM = 10
"""How many degrees of freedom the items' own spread is worth beside that of the seeds."""


def losses_agree(
    before: Sequence[float], after: Sequence[float], tolerance: float = 0.0
) -> bool | None:
    """Tell whether the losses of two trainings agree; None: over fewer than 15 common steps.

    With no tolerance, all the steps that both made must be equal bit for bit; else the first 15
    must agree to that share of the larger: later ones grow apart by themselves.
    """
    if tolerance == 0:
        same = all(one == other for one, other in zip(before, after, strict=False))
    else:
        same = apart(before, after) <= tolerance
    enough = min(len(before), len(after)) >= LEAST_STEPS
    return same if enough or not same else None


def apart(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the largest relative difference of the first 15 losses; inf where one is no number."""
    pairs = list(zip(before[:LEAST_STEPS], after[:LEAST_STEPS], strict=False))
    if not all(math.isfinite(value) for pair in pairs for value in pair):
        return math.inf
    sizes = [(abs(one - other), max(abs(one), abs(other))) for one, other in pairs]
    return max((gap / size for gap, size in sizes if size > 0), default=0.0)


def grid_floor(items: int | None, classes: int = 1) -> float:
    """Return the least standard deviation to believe of a share of so many test items.

    For a mean over classes, `items` are those of the smallest one. 0 for other metrics (None).
    """
    return 0.5 / (classes * items) if items else 0.0


def moderated(
    differences: Sequence[float], discordant: float, items: int, level: float
) -> Interval | None:
    """Return the mean difference of few seeds, its spread told by seeds and items together.

    `discordant` is the share of the test items that two models of a pair answer differently: by
    chance alone a difference then has the variance ``discordant / items``.
    """
    count = len(differences)
    if count == 0:
        return None
    squares = standard_error(differences) ** 2 * count * (count - 1) if count > 1 else 0.0
    freedom = PRIOR_FREEDOM + count - 1
    variance = (PRIOR_FREEDOM * discordant / items + squares) / freedom
    mean = math.fsum(differences) / count
    half = t_quantile(level, freedom) * math.sqrt(variance / count)
    return Interval(mean - half, mean, mean + half)


def paired_items(gained: int, lost: int, items: int, level: float) -> Interval:
    """Return the change of a share of right answers over the same items (Tango's score interval).

    `gained` items are right only after the conversion, `lost` only before. At no change its test is
    McNemar's. T. Tango, Statistics in Medicine 17 (1998) 891.
    """
    from scipy.special import ndtri

    z = float(ndtri(level))
    mean = (gained - lost) / items
    high = _crossing(lambda change: _score(gained, lost, items, change) + z, mean, 1.0)
    low = -_crossing(lambda change: _score(lost, gained, items, change) + z, -mean, 1.0)
    return Interval(low, mean, high)


def _score(gained: int, lost: int, items: int, change: float) -> float:
    """Return the score statistic of a true change: falls from 0 at what was seen."""
    a = 2.0 * items
    b = -gained - lost + (2 * items - gained + lost) * change
    c = -lost * change * (1 - change)
    share = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = items * (2 * share + change * (1 - change))
    return (gained - lost - items * change) / math.sqrt(variance) if variance > 0 else -math.inf


def _crossing(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that is positive at `low` falls below 0, by halving."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2
