"""Write the winning recipe with its claim."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.analysis.aims import best
from bench.analysis.intervals import Interval
from bench.analysis.objectives import MEMORY, TIME, gained
from bench.analysis.pairs import pairs_of
from bench.analysis.results import ArmResult, Comparison
from bench.recipes.source import given_by
from bench.records.claim import Bounds, Claim, Exported
from bench.records.files import write_text
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Measurement
from bench.records.recipe import Recipe
from bench.run.session import Session


def export(session: Session, comparison: Comparison) -> Path | None:
    """Write ``optimized.json`` with the best winner, or the baseline where nothing won.

    Of an earlier look none stays where nothing is within the limits, the baseline neither.
    """
    result = best(comparison)
    exported = exported_of(session.header, session.records, comparison, result, session.recipe)
    path = session.folder.path / "optimized.json"
    if exported is None:
        path.unlink(missing_ok=True)
        return None
    for name, source in given_by(exported.recipe.files, session.places).items():
        copy = session.folder.path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read())
    write_text(path, exported.model_dump_json(indent=1) + "\n")
    return path


def exported_of(
    header: Header,
    trials: Sequence[Measurement],
    comparison: Comparison,
    result: ArmResult | None,
    baseline: Recipe,
) -> Exported | None:
    """Return what would be exported; None when not one pair was measured, or is within limits."""
    if result is None and comparison.baseline_over:
        return None
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
        "margin_is_relative": header.margin_is_relative,
        "metric_direction": header.metric_direction,
        "data_sha256": data.sha256 if data else None,
        "environment": {**header.environment, "device": header.device, "threads": header.threads},
        "seed": header.seed,
        "repeats": header.repeats * (2 if result and result.confirmed else 1),
    }
    return Exported(
        recipe_id=recipe.id,
        recipe=recipe,
        baseline_id=baseline.id,
        baseline=baseline,
        claim=Claim(**claim, **facts),
    )


def _claim_of_winner(result: ArmResult) -> dict[str, object]:
    return {
        "verdict": str(result.verdict),
        "work": result.work or "same work",
        "pairs": result.pairs,
        "time_ratio": _shown(result.time_ratio),
        "time_basis": result.time_basis,
        "memory_ratio": _shown(result.memory_ratio),
        "metric": _triple(result.metric),
        "quality_gain": _triple(result.quality_gain),
        "other_ratios": {
            row.name: bounds
            for row in gained(result.gains)
            if row not in (TIME, MEMORY) and (bounds := _shown(result.ratio(row.name)))
        },
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


def _shown(ratio: Interval | None) -> Bounds | None:
    """Return a ratio that has bounds: of others nothing is claimed."""
    return None if ratio is None or ratio.low is None else _triple(ratio)


def _triple(interval: Interval | None) -> Bounds | None:
    if interval is None:
        return None
    low, middle, high = interval
    return (middle if low is None else low, middle, middle if high is None else high)
