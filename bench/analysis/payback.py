"""Compute the break-even: after how many steps or epochs set-up costs are recovered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from bench.analysis.pairs import Pair
from bench.records.measurement import Measurement


def seconds_saved_an_epoch(pairs: Sequence[Pair]) -> float | None:
    """Return how much shorter an epoch of the candidate is; the median over pairs."""
    saved = [
        b.seconds_per_item * b.items_an_epoch - c.seconds_per_item * c.items_an_epoch
        for b, c in pairs
        if b.seconds_per_item and c.seconds_per_item and b.items_an_epoch and c.items_an_epoch
    ]
    return median(saved) if saved else None


def payback_steps(pairs: Sequence[Pair], setups: Sequence[float]) -> int | None:
    """Return the steps until faster ones have made up for the first set-up; None: never."""
    saved = median(median(b.step_seconds) - median(c.step_seconds) for b, c in pairs)
    if not setups or setups[0] <= 0 or saved <= 0:
        return None
    return math.ceil(setups[0] / saved)


def planned_steps(measured: Measurement) -> int | None:
    """Return how many steps a whole training makes; None where that can't be told."""
    epoch = measured.items_an_epoch
    if epoch is None or not measured.step_seconds or not measured.items:
        return None
    if measured.planned_epochs is None:
        return None
    per_step = measured.items / len(measured.step_seconds)
    return round(measured.planned_epochs * max(1, epoch // per_step))
