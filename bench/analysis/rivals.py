"""What a whole training buys beside the cheapest honest rival: quality, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import NamedTuple

from bench.baseline import Target
from bench.records.measurement import BASELINE, Measurement

SHARES = (0.9, 0.95, 0.98)
"""Of the better of both, whose cost is told."""


class Beside(NamedTuple):
    """Both, side by side; None is not reached, or not known."""

    metric: float
    """The rival's."""
    seconds: float
    trained_metric: float | None
    """The baseline's, mean over seeds."""
    trained_seconds: float | None
    costs: tuple[tuple[float, float | None, float | None], ...]
    """Of each share: the rival's seconds, the baseline's."""
    first: float | None = None
    """Seconds of the baseline's first evaluation: what was good by then may have been so before."""


def beside(metric: float, seconds: float, trials: Sequence[Measurement], target: Target) -> Beside:
    """Compare a rival with whole trainings of the baseline, by the metric that judges it."""
    own = [t for t in trials if t.ok and t.arm == BASELINE]
    whole = [t for t in own if t.metric is not None and t.train_seconds is not None]
    if not whole:
        return Beside(
            metric, seconds, None, None, tuple((share, seconds, None) for share in SHARES)
        )
    trained = fmean(t.metric or 0.0 for t in whole)
    best = min(metric, trained) if target.lower else max(metric, trained)
    wanted = {share: best / share if target.lower else best * share for share in SHARES}
    costs = tuple(
        (share, seconds if target.reached(metric, value) else None, _reached(whole, target, value))
        for share, value in wanted.items()
    )
    first = median(t.metrics[0].train_seconds if t.metrics else math.inf for t in whole)
    took = median(t.train_seconds or 0.0 for t in whole)
    return Beside(metric, seconds, trained, took, costs, first if math.isfinite(first) else None)


def _reached(trials: Sequence[Measurement], target: Target, value: float) -> float | None:
    """Return the median seconds at which trainings were first that good; None where most never."""
    times = [
        next((e.train_seconds for e in t.metrics
              if target.metric in e.values and target.reached(e.values[target.metric], value)),
             math.inf)
        for t in trials
    ]  # fmt: skip
    middle = median(times)
    return middle if math.isfinite(middle) else None
