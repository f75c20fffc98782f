"""Compute how small an effect pairs can show: what a report may promise."""

from __future__ import annotations

import math

from bench.analysis.intervals import t_quantile
from bench.analysis.levels import Rule, boundary
from bench.analysis.sequential import LEAST

POWER = 0.8
"""An effect "can be shown" where it is found four times in five."""


def smallest_effect(deviation: float, pairs: int, total: float, rule: Rule) -> float | None:
    """Return the relative gain that so many pairs find four times in five; None: none.

    `deviation` is that of the logarithms of paired ratios; `total` the error allowed to a gain.
    """
    wide = boundary(pairs, total, rule)
    if pairs < 2 or not math.isfinite(wide):
        return None
    reach = (wide + t_quantile(POWER, pairs - 1)) * deviation / math.sqrt(pairs)
    return math.expm1(min(LEAST + reach, 700.0))
