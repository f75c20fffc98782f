"""Trials that ran out of time: the slow tail of a time, which counts with what it took, at least.

Such a ratio is no outlier that a burst beside the trial explains, so none of its pairs is clipped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.analysis.estimate import RATIO_FLOOR, Values
from bench.analysis.intervals import Interval, exponential, repeated_interval
from bench.analysis.levels import Rule
from bench.analysis.nodes import ratio_of
from bench.analysis.objectives import TIME, Basis, Objective
from bench.analysis.pairs import Pair, tells, whole
from bench.records.measurement import Status


def out_of_time(pair: Pair) -> bool:
    """Tell whether one of a pair's trials ran out of time, beside one that tells of how much."""
    return tells(pair) and any(trial.status is Status.TIMED_OUT for trial in pair)


def clips(row: Objective, pairs: Sequence[Pair]) -> bool:
    """Tell whether outliers of a ratio are clipped."""
    return row is not TIME or not any(map(out_of_time, pairs))


def log_ratios(pairs: Sequence[Pair], row: Objective, basis: Basis) -> Values:
    """Return log(baseline / candidate) of each pair, NaN where it is unknown."""
    return np.array([_log(pair, row, basis) for pair in pairs], float)


def time_ratio(pairs: Sequence[Pair], basis: Basis, rule: Rule, total: float) -> Interval | None:
    """Return the geometric mean of the ratios of time, with bounds that hold at all looks."""
    if clips(TIME, pairs):
        return ratio_of(whole(pairs), TIME.value(basis), rule, total)
    logs = log_ratios(pairs, TIME, basis)
    known = logs[np.isfinite(logs)].tolist()
    return exponential(repeated_interval(known, rule, total, RATIO_FLOOR))


def _log(pair: Pair, row: Objective, basis: Basis) -> float:
    late = out_of_time(pair)
    if not tells(pair) or (late and row is not TIME):
        return math.nan
    value = (lambda m: m.wall_seconds) if late else row.value(basis)
    before, after = (value(trial) for trial in pair)
    if before is None or after is None or before <= 0 or after <= 0:
        return math.nan
    return math.log(before / after)
