"""Every single pair behind an arm's intervals: what a chart shows as dots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.objectives import Basis, Value, cpu_of, memory_of, time_of
from bench.analysis.pairs import Pair
from bench.baseline import Target


class Point(NamedTuple):
    """One pair: ratios are baseline / candidate, `gain` is by how much the metric is better."""

    pair: int
    seed: int
    time: float | None
    cpu: float | None
    memory: float | None
    gain: float | None


def points(pairs: Sequence[Pair], basis: Basis, target: Target) -> tuple[Point, ...]:
    """Return what each pair says."""
    return tuple(_point(pair, basis, target) for pair in pairs)


def _point(pair: Pair, basis: Basis, target: Target) -> Point:
    before, after = pair
    known = before.metric is not None and after.metric is not None
    return Point(
        after.pair,
        after.seed,
        _ratio(pair, time_of(basis)),
        _ratio(pair, cpu_of),
        _ratio(pair, memory_of),
        target.gain(before.metric, after.metric) if known else None,  # type: ignore[arg-type]  # known
    )


def _ratio(pair: Pair, value: Value) -> float | None:
    before, after = (value(trial) for trial in pair)
    if before is None or after is None or before <= 0 or after <= 0:
        return None
    return before / after
