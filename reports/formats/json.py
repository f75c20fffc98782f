"""What `bench show RUN --json` prints: the comparison as JSON, for programs."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.analysis.aims import choice
from bench.analysis.intervals import Interval
from bench.analysis.points import Point
from bench.analysis.proof import Proof
from bench.analysis.results import ArmResult
from bench.analysis.scaling import scaling_of
from bench.records.measurement import BASELINE
from bench.records.revisions import Revision as Side
from reports import searched, sentences, undone, warnings
from reports.published import (
    Arm,
    Attribution,
    Claim,
    Control,
    Figures,
    Pair,
    Report,
    Revision,
    Revisions,
    Rule,
    Scaling,
    Triple,
)
from reports.run import Run
from reports.view.answer import answer
from reports.view.changes import recipe_of


def render(run: Run) -> str:
    """Return the comparison as JSON; ratios are baseline / candidate, null is unknown."""
    return as_text(content(run))


def as_text(values: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return values as JSON, with control characters written as escapes."""
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def content(run: Run) -> Report:  # long: an entry a line
    """Return what is printed, as plain values."""
    header, found = run.header, run.comparison
    winner = run.winner
    return {
        "format": 1,
        "run": header.run,
        "mode": header.mode,
        "baseline": header.name,
        "verdict": sentences.verdict(run),
        "claim": _claim(run),
        "revisions": _revisions(run),
        "winner": winner.arm if winner else None,
        "arms": {result.arm: _arm(run, result) for result in run.candidates},
        "attribution": _attribution(run),
        "smallest_visible_effect": _number(found.smallest_visible_effect),
        "visible_pairs": found.visible_pairs,
        "rule": _rule(run),
        "control": _control(run),
        "objectives": list(found.aims.objectives),
        "limits": found.aims.limits,
        "times_baseline": found.aims.times_baseline,
        "search": searched.content(run),
        "front": list(choice(found)),
        "metric_name": header.metric,
        "metric_direction": header.metric_direction,
        "margin": found.margin,
        "margin_is_relative": found.margin_is_relative,
        "target": header.target,
        "baseline_metric": triple(found.baseline_metric),
        "baseline_seconds_to_target": _number(found.baseline_seconds_to_target),
        "baseline_figures": _figures(run, BASELINE),
        "baseline_recipe_id": _recipe_id(run, BASELINE),
        "baseline_reached": found.baseline_reached,
        "statuses": dict(sorted(Counter(str(trial.status) for trial in run.trials).items())),
        "complete": found.complete,
        "finished": undone.unfinished(run) is None,
        "exported": run.exported,
        "too_noisy": answer(run).doubtful,
        "warnings": warnings.warnings(run),
        "started": header.started,
        "command": list(header.command),
        "commit": header.environment.get("git_commit"),
        "device": header.device,
        "threads": header.threads,
        "seed": header.seed,
        "unit": run.unit,
        "settings": header.settings,
        "environment": header.environment,
    }


def triple(interval: Interval | None) -> Triple:
    """Return [low, middle, high]; bounds that one value can't give are null."""
    if interval is None:
        return None
    return _number(interval.low), _number(interval.middle), _number(interval.high)


def _arm(run: Run, result: ArmResult) -> Arm:  # long: an entry a line
    more = result.more_pairs
    return {
        "verdict": run.said_of(result),
        "gains": list(result.gains),
        "work": result.work,
        "time_ratio": triple(result.time_ratio),
        "time_basis": result.time_basis,
        "cpu_ratio": triple(result.cpu_ratio),
        "energy_ratio": triple(result.energy_ratio),
        "time_median": _number(result.time_median),
        "memory_ratio": triple(result.memory_ratio),
        "memory_median": _number(result.memory_median),
        "metric": triple(result.metric),
        "metric_difference": triple(result.metric_difference),
        "quality_gain": triple(result.quality_gain),
        "judged_by": result.judged_by,
        "test_items": result.test_items,
        "other_differences": {k: triple(v) for k, v in result.other_differences.items()},
        "pairs": result.pairs,
        "more_pairs": more,
        "more_seconds": None if more is None else more * run.pair_seconds[result.arm],
        "needed_margin": _number(result.needed_margin),
        "open": result.goes_on,
        "reason": sentences.reason(run, result) if run.revised else result.reason,
        "at_most": {bound.objective: _number(bound.ratio) for bound in result.bounds},
        "confirmed": result.confirmed,
        "same_losses": result.same_losses,
        "loss_steps": result.loss_steps,
        "flops_ratio": _number(result.flops_ratio),
        "size_ratio": _number(result.size_ratio),
        "latency_ratio": _number(result.latency_ratio),
        "throughput_ratio": _number(result.throughput_ratio),
        "inference_flops_ratio": _number(result.inference_flops_ratio),
        "setup_seconds": _number(result.setup_seconds),
        "payback_steps": result.payback_steps,
        "search_seconds": _number(result.search_seconds),
        "search_payback_epochs": result.search_payback_epochs,
        "seconds_to_target": _number(result.seconds_to_target),
        "reached": result.reached,
        "target_ratio": _number(result.target_ratio),
        "statuses": result.statuses,
        "scaling": _scaling(run, result),
        "recipe_id": _recipe_id(run, result.arm),
        "figures": _figures(run, result.arm),
        "single_pairs": [_pair(point) for point in run.points.get(result.arm, ())],
    }


def _scaling(run: Run, result: ArmResult) -> Scaling | None:
    found = scaling_of(result, run.of(result.arm))
    if found is None:
        return None
    return {
        "processes": found.processes,
        "threads": found.threads,
        "efficiency": triple(found.efficiency),
        "window_seconds": list(found.window_seconds),
        "memory_bytes": list(found.memory_bytes),
        "memory_together_bytes": found.memory_together_bytes,
    }


def _pair(point: Point) -> Pair:
    return {
        "pair": point.pair,
        "seed": point.seed,
        "time_ratio": _number(point.time),
        "cpu_ratio": _number(point.cpu),
        "memory_ratio": _number(point.memory),
        "gain": _number(point.gain),
    }


def _figures(run: Run, arm: str) -> Figures | None:
    own = run.figures.get(arm)
    if own is None:
        return None
    model = asdict(own.model)
    model["parameters"] = own.model.parameters.model_dump() if own.model.parameters else None
    return {
        "trials": own.trials,
        "whole_trainings": own.whole_trainings,
        "step_seconds": own.step_seconds,
        "slow_step_seconds": own.slow_step_seconds,
        "cpu_seconds_per_step": own.cpu_seconds_per_step,
        "items_per_second": own.items_per_second,
        "train_seconds": own.train_seconds,
        "epochs": own.epochs,
        "items_seen": own.items_seen,
        "energy_joules": own.energy_joules,
        "memory_bytes": asdict(own.memory),
        "model": model,
        "setup_seconds": asdict(own.setup),
        "step_spread_seconds": list(own.step_spread),
        "phase_seconds": own.phases,
        "outside_seconds": own.outside,
        "metrics": own.metrics,
    }


def _recipe_id(run: Run, arm: str) -> str | None:
    recipe = recipe_of(run, arm)
    return recipe.id if recipe else None


def _claim(run: Run) -> Claim | None:
    claim = run.header.claim
    if claim is None:
        return None
    found = run.judged
    judged = found is not None and undone.unfinished(run) is None
    answer = found.answer if found and judged else None
    return {
        "answer": answer,
        "holds": {Proof.HOLDS: True, Proof.BROKEN: False}.get(answer) if answer else None,
        "problems": found.problems if found and judged else [],
        "time_ratio": claim.time_ratio,
        "time_basis": claim.time_basis,
        "memory_ratio": claim.memory_ratio,
        "metric": claim.metric,
    }


def _revisions(run: Run) -> Revisions | None:
    """Return what is said of a change; of the metric, how much of it is lost."""
    asked, found = run.header.revisions, run.revised
    if asked is None or found is None:
        return None
    return {
        "answer": found.answer,
        "base": _revision(asked.base),
        "head": _revision(asked.head),
        "pairs": found.pairs,
        "confirmed": found.confirmed,
        "reason": found.reason,
        "worse": {
            row.name: {
                "answer": row.answer,
                "worse": triple(row.worse),
                "limit": row.limit,
                "smallest_visible": _number(row.visible),
            }
            for row in found.rows
        },
    }


def _revision(side: Side) -> Revision:
    return {"given": side.given, "commit": side.commit, "versions": side.versions}


def _attribution(run: Run) -> Attribution | None:
    """Return what each technique of the confirmed combination adds, and each two together."""
    found = run.comparison.attribution
    if found is None:
        return None
    return {
        "arm": found.arm,
        "objective": found.objective,
        "rounds": found.rounds,
        "subsets": found.subsets,
        "orders": found.orders,
        "contributions": {one.technique: triple(one.ratio) for one in found.contributions},
        "interactions": {"+".join(o.techniques): triple(o.ratio) for o in found.interactions},
    }


def _rule(run: Run) -> Rule:
    """Return when arms were looked at, and among how many the error was shared out."""
    rule = run.comparison.rule
    return {"first": rule.first, "most": rule.most, "alpha": rule.alpha, "arms": rule.arms}


def _control(run: Run) -> Control | None:
    control = run.comparison.control
    if control is None:
        return None
    return {
        "pairs": control.pairs,
        "time_ratio": triple(control.time_ratio),
        "memory_ratio": triple(control.memory_ratio),
        "same_losses": control.same_losses,
    }


def _number(value: float | None) -> float | None:
    """Return a finite number or None: JSON knows neither NaN nor infinity."""
    return value if value is not None and math.isfinite(value) else None
