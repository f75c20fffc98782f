"""Check the claim of an exported recipe against a new run's measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from bench.analysis.intervals import Interval
from bench.analysis.pairs import pairs_of
from bench.analysis.results import Comparison
from bench.records.claim import Bounds, Claim
from bench.records.measurement import CONTROL, Measurement

SLACK = 1.05
"""A ratio may come out this much lower on another day before a claim counts as broken."""


class Evidence(NamedTuple):
    """What was measured of the recipe that a run verifies; None is unknown."""

    arm: str
    time_ratio: Interval | None
    time_basis: Literal["step", "training"]
    memory_ratio: Interval | None
    metric: Interval | None


def evidence(comparison: Comparison) -> Evidence:
    """Return what stands against a claim: of the recipe's arm, or of the baseline beside itself."""
    if comparison.arms:
        result = comparison.arms[0]
        return Evidence(
            result.arm, result.time_ratio, result.time_basis, result.memory_ratio, result.metric
        )
    control, metric = comparison.control, comparison.baseline_metric
    if control is None:
        return Evidence(CONTROL, None, "step", None, metric)
    return Evidence(CONTROL, control.time_ratio, "step", control.memory_ratio, metric)


def broken(claim: Claim, comparison: Comparison, trials: Sequence[Measurement]) -> list[str]:
    """Return what of a claim the new measurements contradict, a sentence each; none is good."""
    measured = evidence(comparison)
    pairs = pairs_of(trials, measured.arm)
    if not pairs:
        reason = comparison.arms[0].reason if comparison.arms else "no pair could be measured"
        return [f"the recipe could not be measured: {reason}"]
    problems = []
    data = pairs[0][1].data
    if claim.data_sha256 and data and data.sha256 != claim.data_sha256:
        problems.append("the data differs from what was measured; give the same with --data-dir")
    if claim.time_basis != measured.time_basis:
        problems.append(
            f"claimed the time of a {claim.time_basis}, measured that of a {measured.time_basis}"
        )
    problems += _ratio_problem("time", claim.time_ratio, measured.time_ratio)
    problems += _ratio_problem("memory", claim.memory_ratio, measured.memory_ratio)
    return problems + _metric_problem(claim, measured.metric)


def _ratio_problem(what: str, claimed: Bounds | None, found: Interval | None) -> list[str]:
    """A claim holds where the new interval reaches up to what it says, but for the slack."""
    if claimed is None:
        return []
    if found is None:
        return [f"claimed a {what} ratio of {claimed[1]:.3f}, but none was measured"]
    reach = (found.high if found.high is not None else found.middle) * SLACK
    if claimed[1] <= reach and claimed[0] <= reach:
        return []
    said = f"claimed a {what} ratio of {claimed[1]:.3f}"
    return [f"{said}, measured {found.middle:.3f} (at most {reach:.3f})"]


def _metric_problem(claim: Claim, found: Interval | None) -> list[str]:
    if claim.metric is None:
        return []
    if found is None:
        return [f"claimed {claim.metric_name} {claim.metric[1]:.4f}, but none was measured"]
    reach = (found.high if found.high is not None else found.middle) + claim.margin
    if claim.metric[1] <= reach and claim.metric[0] <= reach:
        return []
    return [
        f"claimed {claim.metric_name} {claim.metric[1]:.4f}, measured {found.middle:.4f} "
        f"(at most {reach:.4f} with the margin)"
    ]
