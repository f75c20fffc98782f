"""What is said of the metric that a run is judged by: its mean, its change, when it is reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median, median_high, median_low
from typing import Any

import numpy as np

from bench.analysis.intervals import (
    METRIC_LEVEL,
    Interval,
    as_interval,
    mean_interval,
    repeated_interval,
)
from bench.analysis.levels import Rule
from bench.analysis.pairs import Pair, by_metric, trainings
from bench.analysis.ratio_of_ratios import seed_means
from bench.analysis.sequential import Quality
from bench.baseline import Target
from bench.records.claim import Claim
from bench.records.header import Bounds, Header
from bench.records.measurement import Measurement


def target_of(header: Header) -> Target:
    """Return what a run's arms are judged by."""
    return Target(
        header.metric, header.target, header.metric_bounds, header.metric_direction,
        header.margin if header.margin_is_relative else None,
    )  # fmt: skip


def target_of_claim(claim: Claim, bounds: Bounds | None = None) -> Target:
    """Return what a claim's metric, which its baseline may say lies within bounds, is judged by."""
    return Target(
        claim.metric_name, bounds=bounds, direction=claim.metric_direction,
        relative_margin=claim.margin if claim.margin_is_relative else None,
    )  # fmt: skip


def metric_of(trials: Sequence[Measurement], target: Target) -> Interval | None:
    """Return the mean over seeds: equal seeds, and equal trainings, are no replicates.

    So each of them counts once.
    """
    known = seed_means((t.seed, t.metric) for t in trainings(trials) if t.metric is not None)
    return mean_interval([*known.values()], METRIC_LEVEL, target.bounds)


def difference(quality: Quality, target: Target, rule: Rule) -> Interval | None:
    """Return candidate - baseline, as a share where margins are shares."""
    found = quality.estimate(quality.differences.shape[-1])
    if not found.known:
        return None
    better = as_interval(found, rule, rule.alpha)
    if not target.lower:
        return better
    low, high = (None if end is None else -end for end in (better.high, better.low))
    return Interval(low, -better.middle, high)


def judged_change(
    quality: Quality, pairs: Sequence[Pair], target: Target, rule: Rule, total: float | None
) -> dict[str, Any]:
    """Return by how much the metric changes, on how many test items, and by what that is known.

    `total` is the error allowed in a gain, where a better metric is what a run is after.
    """
    better = quality.differences[np.isfinite(quality.differences)].tolist()
    items = quality.items.size if quality.items else None
    said = next((trial.data.test_items for trial in pairs[0] if trial.data), None)
    return {
        "metric_difference": difference(quality, target, rule),
        "quality_gain": total and repeated_interval(better, rule, total, quality.floor),
        "judged_by": quality.judged_by,
        "test_items": items or said,
    }


def other_differences(pairs: Sequence[Pair], metric: str) -> dict[str, Interval]:
    """Return candidate - baseline of each metric that stands beside the judged one."""
    found = {name: mean_interval(each, METRIC_LEVEL) for name, each in by_metric(pairs).items()}
    return {name: known for name, known in found.items() if known and name != metric}


def seconds_to_target(trials: Sequence[Measurement], target: Target) -> float | None:
    """Return the median training seconds to the target; None when most trials never reach it."""
    times = _times_to(trials, target)
    middle = median(times) if times else math.inf
    return middle if math.isfinite(middle) else None


def reached(trials: Sequence[Measurement], target: Target) -> tuple[int, int] | None:
    """Return how many whole trainings reached the target, and of how many; None without either."""
    times = _times_to(trials, target)
    return (sum(map(math.isfinite, times)), len(times)) if times else None


def target_ratio(pairs: Sequence[Pair], target: Target) -> float | None:
    """Return the median of the paired ratios of time to target.

    Where one of a pair never got there the other is faster by more than any number; pairs of which
    neither did say nothing. None where the median is no number, or between one and none.
    """
    both = [(_times_to([b], target), _times_to([c], target)) for b, c in pairs]
    known = [(b[0], c[0]) for b, c in both if b and c and math.isfinite(min(b[0], c[0]))]
    ratios = [math.inf if c == 0 else b / c if math.isfinite(c) else 0.0 for b, c in known]
    middle = (median_low(ratios), median_high(ratios)) if ratios else (0.0,)
    return fmean(middle) if min(middle) > 0 and max(middle) < math.inf else None


def _times_to(trials: Sequence[Measurement], target: Target) -> list[float]:
    """Return when each whole training that was evaluated reached the target; inf: it never did."""
    if target.value is None:
        return []
    told = [t for t in trials if any(target.metric in one.values for one in t.metrics)]
    times = [_seconds_to(t, target, target.value) for t in told if t.kind == "full"]
    return [math.inf if seconds is None else seconds for seconds in times]


def _seconds_to(trial: Measurement, target: Target, wanted: float) -> float | None:
    """Return training seconds until the metric first reached the target; None is censored."""
    for evaluation in trial.metrics:
        found = evaluation.values.get(target.metric)
        if found is not None and target.reached(found, wanted):
            return evaluation.train_seconds
    return None
