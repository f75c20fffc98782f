"""Compare every arm with the baseline: a pure function, computed once, rendered anywhere."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, get_args

from bench.analysis.aims import best, excess_of_baseline, limited, sought_by
from bench.analysis.attribution import Attribution, attribution
from bench.analysis.bounds import bounds_of_arm, profiled
from bench.analysis.control import control_of, visible_effect, visible_pairs
from bench.analysis.evidence import evidence_of
from bench.analysis.intervals import Interval
from bench.analysis.levels import Rule, rule_of
from bench.analysis.margin import margin_now, screening_margin
from bench.analysis.metric import (
    judged_change,
    metric_of,
    other_differences,
    reached,
    seconds_to_target,
    target_of,
    target_ratio,
)
from bench.analysis.nodes import ratio_of
from bench.analysis.noise import differs
from bench.analysis.objectives import (
    BY_NAME,
    DEPLOYED,
    OBJECTIVES,
    TIME,
    Basis,
    Sought,
    basis_of,
    cpu_of,
    file_of,
    gained,
    inference_of,
    memory_of,
    time_of,
)
from bench.analysis.out_of_time import time_ratio
from bench.analysis.pairs import (
    Pair,
    again,
    by_arm,
    compared_steps,
    distinct,
    pairs_made,
    pairs_of,
    ratios,
    same_losses,
    unlike,
    whole,
)
from bench.analysis.payback import (
    Made,
    held_to_payback,
    made_of,
    payback_steps,
    planned_steps,
    seconds_saved_an_epoch,
    setup_of,
    with_first,
)
from bench.analysis.quality import Unlike
from bench.analysis.results import Aims, ArmResult, Comparison
from bench.analysis.screening import Looks, screened
from bench.analysis.subsets import largest, taken_apart
from bench.analysis.unconfirmed import after_screening
from bench.analysis.unmeasured import nothing_measured
from bench.analysis.verdict import judge
from bench.baseline import Target
from bench.errors import BenchError
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, UNTRIED, Measurement, Purpose


def compare(
    trials: Sequence[Measurement], margin: float, target: Target,
    probes: Sequence[Measurement] = (), rules: Mapping[Purpose, Rule] | None = None,
    screening: bool = False, looks: Looks | None = None, aims: Aims | None = None,
    chosen_by: float | None = None, beside: Sequence[Measurement] = (),
) -> Comparison:  # fmt: skip
    """Compare every arm of a run with the baseline that it was paired with.

    Trials made `beside` these judge none; they may have been the first to find caches cold.
    Where a run is `screening`, what wins is only chosen, by `looks` what is likely to win, too: to
    be a win it must be confirmed. `chosen_by` is the margin of arms without a fresh pair.
    """
    rules, aims, own = rules or {}, aims or Aims(), by_arm(trials)
    rule = rules.get("confirm" if looks else "test", Rule())
    same = whole(again(trials, looks is not None))
    control, apart = control_of(same, rule) if CONTROL in own else None, unlike(same)
    made = made_of([*trials, *beside], probes)
    judging = target, rules, apart, aims, sought_by(trials, aims)
    by = margin if chosen_by is None or looks is None else chosen_by
    margins = {name: margin if _is_confirmed(each) else by for name, each in own.items()}
    judged = (_judge(n, own[n], margins[n], *judging, made) for n in own if n != CONTROL)
    arms = tuple(_with_search(result, trials, probes) for result in judged)
    if screening:
        seen = screened(trials, by, target, aims, looks)
        arms = tuple(held_to_payback(after_screening(r, seen.get(r.arm))) for r in arms)
    shown_in = visible_pairs(arms, control, rule)
    return Comparison(
        margin=margin,
        margin_is_relative=target.relative,
        **_of_baseline(trials, target, aims),
        control=control,
        smallest_visible_effect=None
        if not aims.counts(TIME) or (control and differs(control))
        else visible_effect(same, arms, rule, shown_in, target, aims),
        visible_pairs=shown_in,
        arms=arms,
        aims=aims,
        complete=not _dead(trials),
        rule=rule,
    )


def _is_confirmed(trials: Sequence[Measurement]) -> bool:
    """Tell whether an arm has fresh trials: their pairs alone judge it."""
    return any(trial.stage == "confirm" for trial in trials)


def _of_baseline(trials: Sequence[Measurement], target: Target, aims: Aims) -> dict[str, Any]:
    own = [t for t in trials if t.arm in (BASELINE, CONTROL) and t.ok]
    return {
        "baseline_metric": metric_of(own, target),
        "baseline_seconds_to_target": seconds_to_target(own, target),
        "baseline_reached": reached(own, target),
        "baseline_over": excess_of_baseline(trials, aims),
    }


def _dead(trials: Sequence[Measurement]) -> set[str]:
    """Return the arms of which every trial failed."""
    tried = {trial.arm for trial in trials if trial.status not in UNTRIED}
    return tried - {trial.arm for trial in trials if trial.ok}


def compare_run(
    header: Header, trials: Sequence[Measurement], probes: Sequence[Measurement]
) -> Comparison:
    """Compare a run's trials as its header asks for."""
    rules: dict[Purpose, Rule] = {stage: rule_of(header, stage) for stage in get_args(Purpose)}
    judging = [trial for trial in trials if trial.judges]
    found = compare(
        judging, margin_now(header, judging), target_of(header), probes, rules,
        header.mode == "full-optimization", header.screening, aims_of(header),
        screening_margin(header, judging),
        [trial for trial in trials if not trial.judges],
    )  # fmt: skip
    baseline, own = profiled(probes), dict[str, list[Measurement]]()
    for trial in judging:
        own.setdefault(trial.arm, []).append(trial)
    arms = tuple(
        result.model_copy(update={"bounds": bounds_of_arm(baseline, own.get(result.arm, []))})
        for result in found.arms
    )
    judged = found.model_copy(update={"arms": arms})
    return judged.model_copy(update={"attribution": attributed(trials, judged)})


def aims_of(header: Header) -> Aims:
    """Return what a run is after; raise `BenchError` for an objective that is none."""
    for name in (*header.objectives, *header.limits, *header.times_baseline):
        if name not in BY_NAME:
            raise BenchError(f'{header.run} has the objective "{name}"; there are: '
                             f"{', '.join(BY_NAME)}")  # fmt: skip
    return Aims(
        objectives=header.objectives, limits=header.limits, times_baseline=header.times_baseline
    )


def _judge(
    name: str, trials: Sequence[Measurement], margin: float, target: Target,
    rules: Mapping[Purpose, Rule], own: Unlike | None, aims: Aims, sought: Sought, made: Made,
) -> ArmResult:  # fmt: skip
    trials_of_arm = [trial for trial in trials if trial.arm == name]
    statuses = dict(Counter(str(trial.status) for trial in trials_of_arm))
    pairs = pairs_made(trials, name)
    if not (good := whole(pairs)):
        return nothing_measured(name, trials, statuses)
    candidates = [candidate for _, candidate in good]
    rule = rules.get(candidates[0].stage, Rule())
    facts = (
        _facts(good, pairs, margin, rule, target, sought, aims.quality)
        | _of_setup(good, made)
        | {
            "metric": metric_of(candidates, target),
            "other_differences": other_differences(distinct(good), target.metric),
            "seconds_to_target": seconds_to_target(candidates, target),
            "reached": reached(candidates, target),
            "target_ratio": target_ratio(good, target),
            "statuses": statuses,
        }
    )
    judgement = judge(pairs, facts["time_basis"], margin, rule, own, target, sought)
    result = ArmResult(arm=name, **judgement._asdict(), **facts)
    return limited(held_to_payback(result), pairs, aims, rule.first)


def _facts(
    pairs: Sequence[Pair], made: Sequence[Pair], margin: float, rule: Rule, target: Target,
    sought: Sought, better: bool,
) -> dict[str, Any]:  # fmt: skip
    """Return what whole pairs say, and of time all that were made: one out of time took longer.

    `better` tells whether the metric is to be so, and not only kept.
    """
    basis = basis_of(pairs[0][1])
    found = evidence_of(pairs, basis, margin, None, target, sought)
    total = rule.of_gain(found.random)
    times, memories = ratios(pairs, time_of(basis)), ratios(pairs, memory_of)
    return {
        "work": pairs[0][1].work,
        "pairs": len(pairs),
        "confirmed": pairs[0][1].stage == "confirm",
        "time_basis": basis,
        "time_ratio": time_ratio(made, basis, rule, total),
        "deployed_ratios": _deployed_ratios(pairs, basis, rule, total),
        "cpu_ratio": ratio_of(pairs, cpu_of, rule, total),
        "memory_ratio": ratio_of(pairs, memory_of, rule, total),
        "energy_ratio": ratio_of(pairs, BY_NAME["energy"].value(basis), rule, total),
        "time_median": _middle(times),
        "memory_median": _middle(memories),
        **judged_change(found.quality, pairs, target, rule, total if better else None),
        "difference_is_relative": target.relative,
        "same_losses": same_losses(pairs),
        "loss_steps": compared_steps(pairs),
        "flops_ratio": _middle(ratios(pairs, lambda m: m.model_flops_per_step)),
        "size_ratio": _middle(ratios(pairs, file_of)),
        "latency_ratio": _middle(ratios(pairs, inference_of(1))),
        "throughput_ratio": _middle(ratios(pairs, inference_of(32))),
        "inference_flops_ratio": _middle(ratios(pairs, lambda m: m.forward_flops_per_item)),
    }


def _of_setup(pairs: Sequence[Pair], made: Made) -> dict[str, Any]:
    """Return what set-up costs an arm, among all pairs that were made, and when it is recovered."""
    setup = setup_of(with_first(pairs, made.pairs))
    stepped = basis_of(pairs[0][1]) == "step"  # a whole training's seconds hold the set-up already
    return {
        "setup_seconds": setup.first if setup else None,
        "warm_setup_seconds": setup.warm if setup else None,
        "setup_is_sure": setup is not None and setup.sure,
        "payback_steps": payback_steps(pairs, setup) if stepped else None,
        "planned_steps": planned_steps(pairs[0][1]) or made.steps,
    }


def _deployed_ratios(
    pairs: Sequence[Pair], basis: Basis, rule: Rule, total: float
) -> dict[str, Interval]:
    """Return the ratios of the deployed models; of what is deterministic, the least to the most."""
    found = {}
    for row in (row for row in OBJECTIVES if row.effects == DEPLOYED):
        known = ratios(pairs, row.value(basis))
        if row.is_shared(*pairs[0]):
            found[row.name] = Interval(1.0, 1.0, 1.0)
        elif known and row.deterministic:
            found[row.name] = Interval(min(known), median(known), max(known))
        elif interval := ratio_of(pairs, row.value(basis), rule, total):
            found[row.name] = interval
    return found


def _with_search(
    result: ArmResult, trials: Sequence[Measurement], probes: Sequence[Measurement]
) -> ArmResult:
    """Add what finding the recipe cost, and after how many epochs it has paid for itself."""
    searching = [p for p in probes if p.pair >= 0 and p.arm in result.arm.split("+")]
    own = [p.wall_seconds or 0.0 for p in searching]
    if not own:
        return result
    spent, saved = math.fsum(own), seconds_saved_an_epoch(pairs_of(trials, result.arm))
    epochs = math.ceil(spent / saved) if saved and saved > 0 else None
    return result.model_copy(update={"search_seconds": spent, "search_payback_epochs": epochs})


def attributed(trials: Sequence[Measurement], found: Comparison) -> Attribution | None:
    """Attribute what the combination won by: what the run asks for by name before all else."""
    winner = best(found)
    if not (own := taken_apart(trials, winner.arm if winner else None)):
        return None
    result = next((r for r in found.arms if r.arm == largest(own).arm), None)
    named = [row for row in OBJECTIVES if row.name in found.aims.objectives]
    won = gained(result.gains if result else ())
    after = [row for row in won if row in named]
    return attribution(own, next(iter([*after, *won, *named, TIME])))


def _middle(values: Sequence[float]) -> float | None:
    return median(values) if values else None
