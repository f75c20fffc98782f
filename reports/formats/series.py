"""Formats of services that keep figures over time: each figure with its unit and its range.

Ratios are arm / baseline here, so that less is better; they are what machines of unlike speed agree
about. Absolute figures are the baseline's alone: between machines they are no measure of a change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from bench.analysis.intervals import Interval
from bench.records.measurement import BASELINE
from bench.records.text import metric_beside, printable
from reports.formats.json import as_text
from reports.run import Run

OF_BASELINE = "of the baseline's"
COSTS = frozenset({"step time", "training time", "peak memory", "time", "memory", "time ratio",
                   "memory ratio"})  # fmt: skip
"""What figures are called that stand beside the metric."""


class Value(NamedTuple):
    """One figure of one arm; ends are None where they are not known."""

    arm: str
    what: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    bigger_is_better: bool = False


def values(run: Run) -> Iterator[Value]:
    """Yield the figures of a run."""
    own, metric = run.figures.get(BASELINE), metric_beside(run.header.metric, COSTS)
    better = not run.target.lower
    if own:
        known = (("step time", "s", own.step_seconds), ("training time", "s", own.train_seconds),
                 ("peak memory", "bytes", own.memory.peak))  # fmt: skip
        yield from (Value(BASELINE, what, unit, v) for what, unit, v in known if v is not None)
    if run.comparison.baseline_metric:
        found = run.comparison.baseline_metric
        yield Value(BASELINE, metric, "", found.middle, found.low, found.high, better)
    for result in run.candidates:
        for what, ratio in (("time", result.time_ratio), ("memory", result.memory_ratio)):
            if ratio:
                yield _inverse(result.arm, what, ratio)
        if result.metric:
            low, middle, high = result.metric
            yield Value(result.arm, metric, "", middle, low, high, better)


def smaller_is_better(run: Run) -> str:
    """Return what github-action-benchmark reads as ``customSmallerIsBetter``."""
    return as_text_of([v for v in values(run) if not v.bigger_is_better])


def bigger_is_better(run: Run) -> str:
    """Return what github-action-benchmark reads as ``customBiggerIsBetter``."""
    return as_text_of([v for v in values(run) if v.bigger_is_better])


def bencher(run: Run) -> str:
    """Return Bencher Metric Format: benchmark, measure, value with its bounds."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for one in values(run):
        bounds = {"lower_value": one.low, "upper_value": one.high}
        known = {key: end for key, end in bounds.items() if end is not None}
        measure = f"{one.what} ratio" if one.unit == OF_BASELINE else one.what
        found.setdefault(one.arm, {})[measure.replace(" ", "-")] = {"value": one.value, **known}
    return as_text(found)


def open_metrics(run: Run) -> str:
    """Return gauges in the text format of OpenMetrics."""
    families: dict[str, list[str]] = {}
    for one in values(run):
        name, labels = _family(one), {"run": run.header.run, "arm": one.arm}
        if one.unit == "":
            labels["metric"] = one.what
        said = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
        lines = families.setdefault(name, [])
        lines.append(f"{name}{{{said}}} {one.value!r}")
    text = [
        line
        for name, lines in sorted(families.items())
        for line in (f"# TYPE {name} gauge", *_unit(name), *lines)
    ]
    return "\n".join([*text, "# EOF"]) + "\n"


def as_text_of(found: list[Value]) -> str:
    """Return rows of name, unit, value and, where it is known, the range around it."""
    rows = []
    for one in found:
        row: dict[str, str | float] = {
            "name": f"{one.arm}: {one.what}", "unit": one.unit or one.what, "value": one.value,
        }  # fmt: skip
        if one.low is not None and one.high is not None:
            row["range"] = f"± {(one.high - one.low) / 2:.4g}"
            row["extra"] = f"{one.low:.6g} to {one.high:.6g}"
        rows.append(row)
    return as_text(rows)


def _inverse(arm: str, what: str, ratio: Interval) -> Value:
    low, high = (None if end is None else 1 / end for end in (ratio.high, ratio.low))
    return Value(arm, what, OF_BASELINE, 1 / ratio.middle, low, high)


def _family(one: Value) -> str:
    if one.unit == "":
        return "bench_quality"
    if one.unit == OF_BASELINE:
        return f"bench_{one.what}_ratio"
    unit = {"s": "seconds"}.get(one.unit, one.unit)
    return re.sub(r"\W+", "_", f"bench_{one.what}_{unit}")


def _unit(name: str) -> list[str]:
    unit = next((u for u in ("seconds", "bytes", "ratio") if name.endswith(f"_{u}")), None)
    return [f"# UNIT {name} {unit}"] if unit else []


def _escaped(text: str) -> str:
    return printable(text).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
