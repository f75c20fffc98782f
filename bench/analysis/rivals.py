"""What a whole training buys beside the cheapest honest rival: quality, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import NamedTuple

from bench.records.measurement import Measurement

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


def beside(metric: float, seconds: float, trials: Sequence[Measurement]) -> Beside:
    """Compare a rival with whole trainings of the baseline; higher metrics are better."""
    whole = [t for t in trials if t.ok and t.metric is not None and t.train_seconds is not None]
    trained = fmean(t.metric or 0.0 for t in whole) if whole else None
    took = median(t.train_seconds or 0.0 for t in whole) if whole else None
    best = max(metric, trained) if trained is not None else metric
    costs = tuple(
        (share, seconds if metric >= share * best else None, _reached(whole, share * best))
        for share in SHARES
    )
    return Beside(metric, seconds, trained, took, costs)


def _reached(trials: Sequence[Measurement], value: float) -> float | None:
    """Return the median seconds at which trainings were first that good; None where most never."""
    times = [
        next((e.train_seconds for e in t.metrics if _judged(t, e.values) >= value), math.inf)
        for t in trials
    ]
    middle = median(times) if times else math.inf
    return middle if math.isfinite(middle) else None


def _judged(trial: Measurement, values: dict[str, float]) -> float:
    """Return the metric that judges, of one evaluation: that which ends as the trial's own."""
    last = trial.metrics[-1].values
    name = next((n for n, value in last.items() if value == trial.metric), "")
    return values.get(name, -math.inf)
