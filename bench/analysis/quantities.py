"""What a published claim may be of, and what of a trial tells it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from bench.analysis.estimate import RATIO_FLOOR, bounds, estimate
from bench.analysis.grid import floor_of, step_of
from bench.analysis.intervals import Interval
from bench.analysis.levels import Rule
from bench.analysis.objectives import Value
from bench.analysis.pairs import Pair, distinct
from bench.records.audit import Claimed, Stated
from bench.records.header import Bounds
from bench.records.measurement import Measurement

ALL_COUNTED = 0.99
"""Of a model's work: the share of which FLOPs tell a claim."""


class Told(NamedTuple):
    """How a quantity is read from a trial, and whether it is the same in each."""

    value: Value
    exact: bool = False


UNBOUNDED = (-math.inf, math.inf)


class Samples(NamedTuple):
    """What pairs tell of a claim: values that are averaged, on logarithms for ratios."""

    values: tuple[float, ...]
    logs: bool
    exact: bool
    floor: float = 0.0
    ends: tuple[float, float] = UNBOUNDED
    """Between which the mean lies, whatever the values are."""

    def beyond(self, claim: Stated) -> bool:
        """Tell whether all of what is claimed lies beyond the ends: it is in another unit."""
        ends = [end for end in claim.range if end is not None]
        return all(not self.ends[0] <= end <= self.ends[1] for end in ends)


def _step(measured: Measurement) -> float | None:
    return median(measured.step_seconds) if measured.step_seconds else None


def _epoch(measured: Measurement) -> float | None:
    if measured.train_seconds is None or not measured.epochs:
        return None
    return measured.train_seconds / measured.epochs


def _parameters(measured: Measurement) -> float | None:
    known = measured.parameters
    return known.trainable + known.frozen if known else None


def _trainable(measured: Measurement) -> float | None:
    return measured.parameters.trainable if measured.parameters else None


def _counted(measured: Measurement, flops: float | None) -> float | None:
    """Return FLOPs where (nearly) all of the work was counted: of a part they tell nothing."""
    known = measured.flops_coverage
    return flops if known is None or known >= ALL_COUNTED else None


TOLD: Mapping[str, Told] = MappingProxyType({
    "step time": Told(_step),
    "time": Told(lambda m: m.seconds_per_item),
    "training time": Told(lambda m: m.train_seconds),
    "epoch time": Told(_epoch),
    "memory": Told(lambda m: m.peak_memory_bytes),
    "training FLOPs": Told(lambda m: _counted(m, m.model_flops_per_step), exact=True),
    "FLOPs": Told(lambda m: _counted(m, m.forward_flops_per_item), exact=True),
    "parameters": Told(_parameters, exact=True),
    "trainable parameters": Told(_trainable, exact=True),
    "file size": Told(lambda m: m.model_bytes, exact=True),
    "metric": Told(lambda m: m.metric),
})  # fmt: skip


def told_of(claim: Stated) -> Told:
    """Return how a claim's quantity is read."""
    if claim.of:
        name = claim.of
        return Told(lambda m: m.metrics[-1].values.get(name) if m.metrics else None)
    return TOLD[claim.quantity or "metric"]


def is_of_metric(claim: Stated) -> bool:
    """Tell whether a claim is of a metric, the one that judges or another."""
    return (claim.quantity or "metric") == "metric"


def samples_of(claim: Claimed, pairs: Sequence[Pair], metric_bounds: Bounds | None) -> Samples:
    """Return what whole pairs tell of a claim in its unit, in their order.

    Of equal trainings of the baseline one tells of a metric. `metric_bounds` are those of the
    metric that judges, where it has any.
    """
    value, exact = told_of(claim)
    if is_of_metric(claim):
        pairs = distinct([pair for pair in pairs if value(pair[1]) is not None])
    both = [(value(before), value(after)) for before, after in pairs]
    known = [(b, a) for b, a in both if b is not None and a is not None]
    if claim.form in ("value", "change"):
        own = [after for _, after in both if after is not None]
        if claim.form == "change":
            own = [after - before for before, after in known]
        least, ends = _grid(claim, pairs, value, metric_bounds)
        floor = least or RATIO_FLOOR * _size(claim, known)
        numbers = tuple(number / claim.scale for number in own)
        return Samples(numbers, False, exact, floor / claim.scale, ends)
    logs = tuple(math.log(b / a) for b, a in known if b > 0 and a > 0)
    return Samples(logs, True, exact, 0.0 if exact else RATIO_FLOOR)


def _grid(
    claim: Stated, pairs: Sequence[Pair], value: Value, metric_bounds: Bounds | None
) -> tuple[float, tuple[float, float]]:
    """Return the least deviation to believe of a metric, and the ends of one that is a share."""
    trials = [trial for pair in pairs for trial in pair]
    if claim.quantity != "metric":
        return 0.0, UNBOUNDED
    if claim.of:  # as coarse as the metric that judges would be
        trials = [trial.model_copy(update={"metric": value(trial)}) for trial in trials]
    floor = floor_of(trials, bounds=None if claim.of else metric_bounds)
    share = step_of(trials) > 0 and all(0 <= (trial.metric or 0.0) <= 1 for trial in trials)
    ends = (0.0, 1.0) if claim.form == "value" else (-1.0, 1.0)
    return floor, ends if share else UNBOUNDED


def _size(claim: Stated, known: Sequence[tuple[float, float]]) -> float:
    """Return how large a cost is: equal ones are rounded; of equal metrics nothing is known."""
    if claim.quantity == "metric" or not known:
        return 0.0
    return median(max(map(abs, pair)) for pair in known)


def interval_of(samples: Samples, rule: Rule, claims: int) -> Interval | None:
    """Return what samples tell of a ratio, change or value; bounds hold at all looks together.

    The error is shared out among the `claims` of a run. What is the same in every trial has bounds
    of its own: the least and the largest.
    """
    if not samples.values:
        return None
    if samples.exact:
        ends = Interval(min(samples.values), median(samples.values), max(samples.values))
    else:
        found = estimate(np.array(samples.values), samples.floor, samples.logs)
        low, high = (float(end) for end in bounds(found, rule.alpha / max(1, claims), rule))
        sure = math.isfinite(low)
        low, high = max(low, samples.ends[0]), min(high, samples.ends[1])
        ends = Interval(low if sure else None, float(found.mean), high if sure else None)
    return _ratios(ends) if samples.logs else ends


def in_form(found: Interval | None, form: str) -> Interval | None:
    """Return an interval of ratios as one of shares, where a claim is of what is less."""
    if found is None or form != "less":
        return found
    low, middle, high = (None if end is None else 1 - 1 / end for end in found)
    assert middle is not None
    return Interval(low, middle, high)


def as_stated(claim: Stated, found: Interval | None) -> Interval | None:
    """Return an interval of ratios before / after in the form of a claim."""
    if found is None or not claim.rises:
        return in_form(found, claim.form)
    low, middle, high = (None if end is None else 1 / end for end in found)
    assert middle is not None
    return Interval(high, middle, low)


def _ratios(logs: Interval) -> Interval:
    low, middle, high = (None if end is None else math.exp(min(end, 700.0)) for end in logs)
    assert middle is not None
    return Interval(low, middle, high)
