"""How small an effect pairs can show, and how small a loss: what a report may promise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import stdev

from bench.analysis.intervals import t_quantile
from bench.analysis.levels import Rule, boundary
from bench.analysis.sequential import LEAST

POWER = 0.8
"""An effect "can be shown" where it is found four times in five."""
SHOWN_OF_DEVIATION = 0.62
"""The loss that 30 pairs exclude four times in five, of the differences' standard deviation."""
WISHED_MARGIN = 0.01
BETWEEN_SEEDS = math.sqrt(2)
"""Differences of two trainings spread at most by so much more than one training over its seeds."""


def smallest_effect(deviation: float, pairs: int, total: float, rule: Rule) -> float | None:
    """Return the relative gain that so many pairs find four times in five; None: none.

    `deviation` is that of the logarithms of paired ratios; `total` the error allowed to a gain.
    """
    wide = boundary(pairs, total, rule)
    if pairs < 2 or not math.isfinite(wide):
        return None
    reach = (wide + t_quantile(POWER, pairs - 1)) * deviation / math.sqrt(pairs)
    return math.expm1(min(LEAST + reach, 700.0))


def smallest_loss(baseline_metrics: Sequence[float]) -> float | None:
    """Return the loss of the metric that 30 pairs exclude four times in five; None: unknown.

    It rests on the baseline's own seeds, one value each, before any candidate is looked at.
    """
    if len(baseline_metrics) < 2:
        return None
    return SHOWN_OF_DEVIATION * BETWEEN_SEEDS * stdev(baseline_metrics)


def automatic_margin(baseline_metrics: Sequence[float], items: int | None) -> float:
    """Return the margin of ``--margin auto``: what is wished, as far as the test part can show it.

    At least 0.01, the loss that 30 pairs can exclude, and one test item.
    """
    one_item = 1 / items if items else 0.0
    return max(WISHED_MARGIN, smallest_loss(baseline_metrics) or 0.0, one_item)
