"""How coarse a metric is: by how much one test item moves it, where it is a share of the items.

A share is told whatever it is written as: 0.95, 95 %, 19 of 20, rounded to float32 or not. Of other
metrics with bounds, as a mean over classes is, an item is taken to move its share of their range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.records.header import Bounds
from bench.records.measurement import BASELINE, CONTROL, Measurement

ROUNDED = 5e-7
"""By how much a share in float32 differs from the whole number of items that it is."""
PERCENT = 100.0


def step_of(trials: Sequence[Measurement], relative: bool = False) -> float:
    """Return by how much one test item moves the metric; 0 where that isn't a share of them.

    With `relative` as a share of the baseline's metric, as margins are then.
    """
    items = _items(trials)
    metrics = [trial.metric for trial in trials if trial.metric is not None]
    if not items or not metrics:
        return 0.0
    scales = (1.0, PERCENT, float(items))
    whole = (s for s in scales if all(_is_whole(metric / s, items) for metric in metrics))
    step = next(whole, 0.0) / items
    return step / (_size(trials) or step or 1.0) if relative else step


def floor_of(
    trials: Sequence[Measurement], relative: bool = False, bounds: Bounds | None = None
) -> float:
    """Return the least standard deviation to believe of a metric: half a test item's share.

    Of one that is no share of the items that of its range, where it has finite `bounds`; else 0.
    """
    step, items = step_of(trials, relative), _items(trials)
    if step or not items or bounds is None or not math.isfinite(bounds[1] - bounds[0]):
        return step / 2
    size = _size(trials) if relative else 1.0
    return (bounds[1] - bounds[0]) / items / size / 2 if size else 0.0


def _items(trials: Sequence[Measurement]) -> int:
    """Return how many test items there are; 0: unknown."""
    return next((trial.data.test_items for trial in trials if trial.data), 0)


def _is_whole(share: float, items: int) -> bool:
    """Tell whether a share is of a whole number of items; of none it is 0, not nearly so."""
    number = round(share * items)
    error = abs(share - number / items)
    return abs(share) <= 1 + ROUNDED and error <= (ROUNDED if number else 0.0)


def _size(trials: Sequence[Measurement]) -> float:
    """Return the mean size of the baseline's metric."""
    own = [t.metric for t in trials if t.arm in (BASELINE, CONTROL) and t.metric is not None]
    return sum(map(abs, own)) / len(own) if own else 0.0
