"""Compare every arm with the baseline: a pure function, computed once, rendered anywhere."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from bench.analysis.intervals import METRIC_LEVEL, Interval, mean_interval, ratio_interval
from bench.analysis.objectives import cpu_of, file_of, inference_of, memory_of, time_of
from bench.analysis.pairs import Pair, by_metric, differences, pairs_of, ratios, same_losses
from bench.analysis.payback import payback_steps, planned_steps, seconds_saved_an_epoch
from bench.analysis.results import ArmResult, Comparison, Control
from bench.analysis.verdict import Verdict, judge
from bench.baseline import Target
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Measurement, Status


def compare(
    trials: Sequence[Measurement],
    margin: float,
    target: Target,
    probes: Sequence[Measurement] = (),
) -> Comparison:
    """Compare every arm of a run with the baseline that it was paired with."""
    names = list(dict.fromkeys(trial.arm for trial in trials))
    control = _control(pairs_of(trials, CONTROL)) if CONTROL in names else None
    repeatable = control is None or control.same_losses is not False
    judged = [
        _judge(name, trials, margin, target, repeatable)
        for name in names
        if name not in (BASELINE, CONTROL)
    ]
    arms = tuple(_with_search(result, trials, probes) for result in judged)
    baseline = [t for t in trials if t.arm in (BASELINE, CONTROL) and t.ok]
    dead = {t.arm for t in trials if t.status is not Status.NOT_APPLICABLE} - {
        t.arm for t in trials if t.ok
    }
    return Comparison(
        margin=margin,
        baseline_metric=_metric(baseline, target),
        baseline_seconds_to_target=_to_target(baseline, target),
        control=control,
        smallest_visible_effect=_visible(control),
        arms=arms,
        complete=not dead,
    )


def compare_run(
    header: Header, trials: Sequence[Measurement], probes: Sequence[Measurement]
) -> Comparison:
    """Compare a run's trials as its header asks for."""
    target = Target(header.metric, header.target, header.metric_bounds)
    return compare(trials, header.margin, target, probes)


def best(comparison: Comparison) -> ArmResult | None:
    """Return the winner that surely saves the most time, or memory where none saves time."""
    winners = [r for r in comparison.arms if r.verdict is Verdict.WIN]
    return max(winners, key=_merit, default=None)


def _judge(
    name: str, trials: Sequence[Measurement], margin: float, target: Target, repeatable: bool
) -> ArmResult:
    own = [trial for trial in trials if trial.arm == name]
    statuses = dict(Counter(str(trial.status) for trial in own))
    pairs = pairs_of(trials, name)
    if not pairs:
        return _nothing_measured(name, own, statuses)
    candidates = [candidate for _, candidate in pairs]
    facts = _facts(pairs) | {
        "metric": _metric(candidates, target),
        "other_differences": _other_differences(pairs, target.metric),
        "seconds_to_target": _to_target(candidates, target),
        "statuses": statuses,
    }
    judgement = judge(pairs, facts["time_basis"], margin, repeatable)
    result = ArmResult(arm=name, **judgement._asdict(), **facts)
    return _downgrade_if_never_repaid(result)


def _nothing_measured(name: str, own: Sequence[Measurement], statuses: dict[str, int]) -> ArmResult:
    refused = [t for t in own if t.status is Status.NOT_APPLICABLE]
    first = refused or [t for t in own if not t.ok]
    reason = first[0].reason or str(first[0].status) if first else "no whole pair was measured"
    verdict = Verdict.NOT_APPLICABLE if refused else Verdict.FAILED
    work = next((t.work for t in own if t.work), None)
    if not refused and first:
        reason = f"{str(first[0].status).replace('_', ' ')}: {reason}"
    return ArmResult(arm=name, verdict=verdict, reason=reason, work=work, statuses=statuses)


def _facts(pairs: Sequence[Pair]) -> dict[str, Any]:
    work = pairs[0][1].work
    basis = "step" if work == "same work" else "training"
    setups = [_less(c.setup_seconds, b.setup_seconds) for b, c in pairs]
    known = [seconds for seconds in setups if seconds is not None]
    return {
        "work": work,
        "pairs": len(pairs),
        "confirmed": pairs[0][1].stage == "confirm",
        "time_basis": basis,
        "time_ratio": ratio_interval(ratios(pairs, time_of(basis))),
        "cpu_ratio": ratio_interval(ratios(pairs, cpu_of)),
        "memory_ratio": ratio_interval(ratios(pairs, memory_of)),
        "metric_difference": mean_interval(differences(pairs), METRIC_LEVEL),
        "same_losses": same_losses(pairs),
        "flops_ratio": _middle(ratios(pairs, lambda m: m.model_flops_per_step)),
        "size_ratio": _middle(ratios(pairs, file_of)),
        "latency_ratio": _middle(ratios(pairs, inference_of(1))),
        "throughput_ratio": _middle(ratios(pairs, inference_of(32))),
        "inference_flops_ratio": _middle(ratios(pairs, lambda m: m.forward_flops_per_item)),
        "setup_seconds": max(0.0, known[0]) if known else None,
        "warm_setup_seconds": max(0.0, median(known[1:])) if known[1:] else None,
        # a whole training's seconds hold the set-up already
        "payback_steps": payback_steps(pairs, known) if basis == "step" else None,
        "planned_steps": planned_steps(pairs[0][1]),
    }


def _downgrade_if_never_repaid(result: ArmResult) -> ArmResult:
    """Turn a win in time that training is too short to see into what it is: no gain."""
    late = (
        result.verdict is Verdict.WIN
        and result.gains == ("faster",)
        and result.payback_steps is not None
        and result.planned_steps is not None
        and result.payback_steps > result.planned_steps
    )
    if not late:
        return result
    reason = (
        f"steps are faster, but {result.setup_seconds:.1f} s of set-up pay back only after "
        f"{result.payback_steps:,} steps; this training makes {result.planned_steps:,}"
    )
    return result.model_copy(update={"verdict": Verdict.NO_GAIN, "reason": reason})


def _with_search(
    result: ArmResult, trials: Sequence[Measurement], probes: Sequence[Measurement]
) -> ArmResult:
    """Add what finding the recipe cost, and after how many epochs it has paid for itself."""
    own = [p.wall_seconds or 0.0 for p in probes if p.arm in result.arm.split("+")]
    if not own:
        return result
    spent, saved = math.fsum(own), seconds_saved_an_epoch(pairs_of(trials, result.arm))
    epochs = math.ceil(spent / saved) if saved and saved > 0 else None
    return result.model_copy(update={"search_seconds": spent, "search_payback_epochs": epochs})


def _control(pairs: Sequence[Pair]) -> Control:
    return Control(
        pairs=len(pairs),
        time_ratio=ratio_interval(ratios(pairs, lambda m: m.seconds_per_item)),
        cpu_ratio=ratio_interval(ratios(pairs, cpu_of)),
        memory_ratio=ratio_interval(ratios(pairs, memory_of)),
        same_losses=same_losses(pairs),
    )


def _visible(control: Control | None) -> float | None:
    ratio = control.time_ratio if control else None
    if ratio is None or ratio.low is None or ratio.high is None:
        return None
    effect = math.sqrt(ratio.high / ratio.low) - 1 if ratio.low else math.inf
    return effect if math.isfinite(effect) else None


def _metric(trials: Sequence[Measurement], target: Target) -> Interval | None:
    """Return the mean over seeds: equal seeds are no replicates, so each seed counts once."""
    by_seed = {t.seed: t.metric for t in trials if t.metric is not None}
    return mean_interval(list(by_seed.values()), METRIC_LEVEL, target.bounds)


def _other_differences(pairs: Sequence[Pair], metric: str) -> dict[str, Interval]:
    found = {name: mean_interval(each, METRIC_LEVEL) for name, each in by_metric(pairs).items()}
    return {name: known for name, known in found.items() if known and name != metric}


def _to_target(trials: Sequence[Measurement], target: Target) -> float | None:
    """Return the median training seconds to the target; None when most trials never reach it."""
    whole = [t for t in trials if t.kind == "full"]
    if target.value is None or not whole:
        return None
    times = [t.seconds_to(target.value, target.metric) for t in whole]
    middle = median(math.inf if seconds is None else seconds for seconds in times)
    return middle if math.isfinite(middle) else None


def _middle(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _merit(result: ArmResult) -> tuple[bool, float]:
    time = (result.time_ratio.low if result.time_ratio else None) or 0.0
    memory = (result.memory_ratio.low if result.memory_ratio else None) or 0.0
    faster = "faster" in result.gains
    return faster, time if faster else memory
