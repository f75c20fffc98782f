"""Write the winning recipe with its claim, and check such a claim against a new run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.compare import ArmResult, Comparison, Control, best
from bench.measurement import Measurement
from bench.plan import BASELINE, CONTROL
from bench.ratios import pairs_of
from bench.recipe import Claim, Exported, Recipe
from bench.session import Session
from bench.statistics import Interval
from bench.store import Header, write_text

SLACK = 1.05
"""A ratio may come out this much lower on another day before a claim counts as broken."""
Triple = tuple[float, float, float]


def export(session: Session, comparison: Comparison) -> Path | None:
    """Write ``optimized.json`` with the best winner, or the baseline where nothing won."""
    result = best(comparison)
    exported = exported_of(session.header, session.records, comparison, result, session.recipe)
    if exported is None:
        return None
    for name in exported.recipe.files:
        shutil.copyfile(session.places[name], session.folder.path / name)
    path = session.folder.path / "optimized.json"
    write_text(path, exported.model_dump_json(indent=1) + "\n")
    return path


def exported_of(
    header: Header,
    trials: Sequence[Measurement],
    comparison: Comparison,
    result: ArmResult | None,
    baseline: Recipe,
) -> Exported | None:
    """Return what would be exported; None when not one pair was measured."""
    arm = result.arm if result else CONTROL
    pairs = pairs_of(trials, arm)
    claim = _claim_of_winner(result) if result else _claim_of_baseline(comparison)
    if not pairs or claim is None:
        return None
    recipe = Recipe.model_validate(pairs[0][1].recipe)
    data = pairs[0][1].data
    facts = {
        "metric_name": header.metric,
        "margin": header.margin,
        "data_sha256": data.sha256 if data else None,
        "environment": {**header.environment, "device": header.device, "threads": header.threads},
        "seed": header.seed,
        "repeats": header.repeats,
    }
    return Exported(
        recipe_id=recipe.id,
        recipe=recipe,
        baseline_id=baseline.id,
        baseline=baseline,
        claim=Claim(**claim, **facts),
    )


def broken(claim: Claim, comparison: Comparison, trials: Sequence[Measurement]) -> list[str]:
    """Return what of a claim the new measurements contradict, a sentence each; none is good."""
    result = comparison.arms[0] if comparison.arms else None
    source: ArmResult | Control | None = result or comparison.control
    arm = result.arm if result else CONTROL
    pairs = pairs_of(trials, arm)
    if source is None or not pairs:
        reason = result.reason if result else "no pair could be measured"
        return [f"the recipe could not be measured: {reason}"]
    problems = []
    data = pairs[0][1].data
    if claim.data_sha256 and data and data.sha256 != claim.data_sha256:
        problems.append("the data differs from what was measured; give the same with --data-dir")
    basis = result.time_basis if result else "step"
    if claim.time_basis != basis:
        problems.append(f"claimed the time of a {claim.time_basis}, measured that of a {basis}")
    problems += _ratio_problem("time", claim.time_ratio, source.time_ratio)
    problems += _ratio_problem("memory", claim.memory_ratio, source.memory_ratio)
    metric = result.metric if result else comparison.baseline_metric
    problems += _metric_problem(claim, metric)
    return problems


def _ratio_problem(what: str, claimed: Triple | None, found: Interval | None) -> list[str]:
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


def _claim_of_winner(result: ArmResult) -> dict[str, object]:
    return {
        "verdict": str(result.verdict),
        "work": result.work or "same work",
        "pairs": result.pairs,
        "time_ratio": _triple(result.time_ratio) or (1.0, 1.0, 1.0),
        "time_basis": result.time_basis,
        "memory_ratio": _triple(result.memory_ratio),
        "metric": _triple(result.metric),
    }


def _claim_of_baseline(comparison: Comparison) -> dict[str, object] | None:
    """Return what a baseline claims beside itself: nothing but its metric, whatever A/A gave."""
    control = comparison.control
    if control is None or control.time_ratio is None:
        return None
    return {
        "verdict": BASELINE,
        "work": "same work",
        "pairs": control.pairs,
        "time_ratio": (1.0, 1.0, 1.0),
        "time_basis": "step",
        "memory_ratio": (1.0, 1.0, 1.0),
        "metric": _triple(comparison.baseline_metric),
    }


def _triple(interval: Interval | None) -> Triple | None:
    if interval is None:
        return None
    low, middle, high = interval
    return (middle if low is None else low, middle, middle if high is None else high)
