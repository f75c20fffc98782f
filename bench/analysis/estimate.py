"""The mean of paired values with its standard error, robust to outliers and to ties.

Everything works along the last axis, in which NaN is an unknown value; leading axes are runs of
their own, as simulations have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.analysis.levels import Rule, boundaries

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]
Marks = Flags | Values
"""Yes or no of each pair: 1, 0 and, where that is unknown, NaN; or plain flags."""

CLIP_FROM = 6
"""Values from which on outliers can be told from a spread."""
CLIP_AT = 3.5
"""Deviations, by the median absolute deviation, beyond which a ratio is clipped."""
GAUSS = 1.4826
"""The standard deviation of a Gaussian in units of its median absolute deviation."""
RATIO_FLOOR = 0.002
"""The least standard deviation believed of log ratios: equal ones are rounded, not exact."""


class Estimate(NamedTuple):
    """The mean of values along an axis; `error` is its standard error, NaN below two values."""

    mean: Values
    error: Values
    known: Counts
    """How many values are known."""
    clipped: bool
    """Whether outliers were clipped, or would have been: it makes bounds a little stricter."""
    more: int = 0
    """Degrees of freedom beside those of the values: what else is known of their spread."""
    apart: Flags | None = None
    """Whether nodes differ, so that `known` counts them: the values are their means."""


def estimate(values: Values, floor: float = 0.0, clip: bool = False) -> Estimate:
    """Return mean and standard error of the known values, at least `floor` of deviation believed.

    Clipped values count as lost: with h of n left, the error grows by (n - 1) / (h - 1).
    """
    known = np.isfinite(values)
    count = known.sum(-1)
    lost: Counts = np.zeros_like(count)
    clipped = clip and values.shape[-1] >= CLIP_FROM
    if clipped:
        values, lost = _clipped(values, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(-1) / count
        squares = np.where(known, (values - mean[..., None]) ** 2, 0.0).sum(-1)
        deviation = np.maximum(np.sqrt(squares / (count - 1)), floor)
        error = deviation / np.sqrt(count) * (count - 1) / np.maximum(count - lost - 1, 1)
    return Estimate(mean, np.where(count > 1, error, np.nan), count, clipped)


def counted(marks: Marks, pairs: int) -> tuple[Counts, Counts]:
    """Return how many of the first pairs are marked, and of how many that is known."""
    seen = marks[..., :pairs]
    return np.asarray(np.nansum(seen, -1), np.int64), np.asarray(np.isfinite(seen).sum(-1))


def bounds(found: Estimate, total: float, rule: Rule) -> tuple[Values, Values]:
    """Return the one-sided bounds of a mean, each of error `total` over all looks of the rule."""
    wide = boundaries(np.asarray(found.known), total, rule, found.clipped, found.more)
    with np.errstate(invalid="ignore"):
        half = np.where(np.isfinite(wide), wide * found.error, np.inf)
    return found.mean - half, found.mean + half


def _clipped(values: Values, count: Counts) -> tuple[Values, Counts]:
    """Return values no further from their median than outliers are, and how many were."""
    middle = _median(values, count)[..., None]
    spread = GAUSS * _median(np.abs(values - middle), count)[..., None]
    reach = np.where((spread > 0) & (count[..., None] >= CLIP_FROM), CLIP_AT * spread, np.inf)
    inside = np.clip(values, middle - reach, middle + reach)
    return inside, (np.isfinite(values) & (inside != values)).sum(-1)


def _median(values: Values, count: Counts) -> Values:
    """Return the median of the known values: NaN is sorted to the end."""
    ordered = np.sort(values, axis=-1)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[-1] - 1)
    pick = np.stack([low, high], -1)
    return np.asarray(np.take_along_axis(ordered, pick, -1).mean(-1))
