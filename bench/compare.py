"""From measurements to verdicts: a pure function, computed once and only rendered elsewhere."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from statistics import median
from typing import Literal

from bench.measurement import Measurement, Status, Work
from bench.plan import BASELINE, CONTROL
from bench.recipe import Frozen
from bench.statistics import (
    METRIC_LEVEL,
    RATIO_LEVEL,
    Interval,
    lower_bound,
    mean_interval,
    pairs_to_decide,
    ratio_interval,
    upper_bound,
)

LEAST_GAIN = 1.01
"""A win's interval must lie above this ratio: what is smaller is not worth a change of config."""
WORTH_FINDING = 1.05
"""Where the interval excludes gains of this size, the answer is "no gain", not "undecided"."""

Pair = tuple[Measurement, Measurement]


class Verdict(StrEnum):
    """What a run says of a candidate."""

    WIN = "win"
    NO_GAIN = "no gain"
    ACCURACY_LOSS = "accuracy loss"
    UNDECIDED = "undecided"
    NOT_APPLICABLE = "not applicable"
    FAILED = "failed"


class ArmResult(Frozen):
    """A candidate against the baseline; ratios are baseline / candidate, above 1 is better."""

    arm: str
    verdict: Verdict
    reason: str
    work: Work | None = None
    pairs: int = 0
    more_pairs: int | None = None
    """About how many more pairs would decide; None when decided, or when that can't be told."""
    time_basis: Literal["step", "training"] = "step"
    """Whether time is seconds per item in the steady state, or the whole training's seconds."""
    time_ratio: Interval | None = None
    memory_ratio: Interval | None = None
    metric: Interval | None = None
    metric_difference: Interval | None = None
    """Candidate - baseline, paired by seed."""
    same_losses: bool | None = None
    """Whether every loss was bit-equal to the paired baseline's."""
    flops_ratio: float | None = None
    size_ratio: float | None = None
    latency_ratio: float | None = None
    """Of the deployed model on one item."""
    setup_seconds: float | None = None
    """What the first steps cost above the usual in the first trial, less the baseline's."""
    warm_setup_seconds: float | None = None
    """The same in the later trials, whose caches are warm."""
    payback_steps: int | None = None
    planned_steps: int | None = None
    seconds_to_target: float | None = None
    statuses: dict[str, int] = {}
    confirmed: bool = False
    """Whether the pairs are fresh ones, made after a screening had chosen the arm."""


class Control(Frozen):
    """The baseline against itself."""

    pairs: int
    time_ratio: Interval | None
    memory_ratio: Interval | None
    same_losses: bool | None


class Comparison(Frozen):
    """Everything that a report says, apart from the records themselves."""

    margin: float
    baseline_metric: Interval | None
    baseline_seconds_to_target: float | None
    control: Control | None
    smallest_visible_effect: float | None
    """The smallest relative change in time that the A/A control's interval would have shown."""
    arms: tuple[ArmResult, ...]
    complete: bool
    """False when every trial of some arm failed."""


def compare(trials: Sequence[Measurement], margin: float, target: float | None, metric: str) -> Comparison:
    """Compare every arm of a run with the baseline that it was paired with."""
    names = list(dict.fromkeys(trial.arm for trial in trials))
    control = _control(pairs_of(trials, CONTROL)) if CONTROL in names else None
    repeatable = control is None or control.same_losses is not False
    arms = tuple(
        _judge(name, trials, margin, target, metric, repeatable)
        for name in names
        if name not in (BASELINE, CONTROL)
    )
    baseline = [t for t in trials if t.arm in (BASELINE, CONTROL) and t.ok]
    dead = {t.arm for t in trials if t.status is not Status.NOT_APPLICABLE} - {
        t.arm for t in trials if t.ok
    }
    return Comparison(
        margin=margin,
        baseline_metric=_metric(baseline),
        baseline_seconds_to_target=_to_target(baseline, target, metric),
        control=control,
        smallest_visible_effect=_visible(control),
        arms=arms,
        complete=not dead,
    )


def pairs_of(trials: Sequence[Measurement], arm: str) -> list[Pair]:
    """Return (baseline, candidate) of each pair in which both trials are whole.

    Of an arm that was confirmed in fresh pairs, only those: the screening chose it for its luck too.
    """
    whole = {trial.key: trial for trial in trials if trial.ok}
    own = [trial for trial in trials if trial.arm == arm]
    stage = "confirm" if any(t.stage == "confirm" for t in own) and arm != CONTROL else "test"
    wanted = [t for t in own if t.ok and (arm == CONTROL or t.stage == stage)]
    numbers = sorted(t.pair for t in wanted)
    return [(whole[n, BASELINE], whole[n, arm]) for n in numbers if (n, BASELINE) in whole]


def _judge(
    name: str, trials: Sequence[Measurement], margin: float, target: float | None, metric: str,
    repeatable: bool,
) -> ArmResult:  # fmt: skip
    own = [trial for trial in trials if trial.arm == name]
    statuses = dict(Counter(str(trial.status) for trial in own))
    pairs = pairs_of(trials, name)
    if not pairs:
        return _nothing_measured(name, own, statuses)
    candidates = [candidate for _, candidate in pairs]
    facts = _facts(name, pairs) | {
        "metric": _metric(candidates),
        "seconds_to_target": _to_target(candidates, target, metric),
        "statuses": statuses,
    }
    verdict, reason, more = _verdict(pairs, facts["time_basis"], margin, repeatable)
    result = ArmResult(arm=name, verdict=verdict, reason=reason, more_pairs=more, **facts)
    return _unless_setup_eats_it(result)


def _nothing_measured(
    name: str, own: Sequence[Measurement], statuses: dict[str, int]
) -> ArmResult:
    refused = [t for t in own if t.status is Status.NOT_APPLICABLE]
    first = refused or [t for t in own if not t.ok]
    reason = first[0].reason or str(first[0].status) if first else "no whole pair was measured"
    verdict = Verdict.NOT_APPLICABLE if refused else Verdict.FAILED
    work = next((t.work for t in own if t.work), None)
    if not refused and first:
        reason = f"{str(first[0].status).replace('_', ' ')}: {reason}"
    return ArmResult(arm=name, verdict=verdict, reason=reason, work=work, statuses=statuses)


def _facts(name: str, pairs: Sequence[Pair]) -> dict[str, object]:
    work = pairs[0][1].work
    basis = "step" if work == "same work" else "training"
    setups = [_less(c.setup_seconds, b.setup_seconds) for b, c in pairs]
    known = [seconds for seconds in setups if seconds is not None]
    return {
        "work": work,
        "pairs": len(pairs),
        "confirmed": pairs[0][1].stage == "confirm",
        "time_basis": basis,
        "time_ratio": ratio_interval(_ratios(pairs, _time(basis))),
        "memory_ratio": ratio_interval(_ratios(pairs, lambda m: m.peak_memory_bytes)),
        "metric_difference": mean_interval(_differences(pairs), METRIC_LEVEL),
        "same_losses": _same_losses(pairs),
        "flops_ratio": _middle(_ratios(pairs, lambda m: m.model_flops_per_step)),
        "size_ratio": _middle(_ratios(pairs, lambda m: m.model_bytes)),
        "latency_ratio": _middle(_ratios(pairs, _latency)),
        "setup_seconds": max(0.0, known[0]) if known else None,
        "warm_setup_seconds": max(0.0, median(known[1:])) if known[1:] else None,
        "payback_steps": _payback(pairs, known),
        "planned_steps": _planned_steps(pairs[0][1]),
    }


def _verdict(
    pairs: Sequence[Pair], basis: str, margin: float, repeatable: bool
) -> tuple[Verdict, str, int | None]:
    """Return verdict, reason and about how many more pairs would decide."""
    exact = pairs[0][1].effect == "exact"
    if exact and repeatable and not _same_losses(pairs):
        return Verdict.FAILED, "it declares the effect exact, but the losses differ", None
    if len(pairs) < 2:
        return Verdict.UNDECIDED, "one pair gives no interval", 2
    differences = _differences(pairs)
    quality = "kept" if exact else _quality(differences, margin)
    if quality == "lost":
        bound = upper_bound(differences)
        return Verdict.ACCURACY_LOSS, f"the metric fell by at least {-(bound or 0):.4f}", None
    gains = _gains(pairs, basis)
    if gains and quality == "kept":
        return Verdict.WIN, " and ".join(gains), None
    if gains:
        mean = math.fsum(differences) / len(differences) if differences else 0.0
        need = pairs_to_decide(differences, abs(mean + margin), METRIC_LEVEL)
        why = "the metric's interval still holds losses beyond the margin"
        return Verdict.UNDECIDED, f"{' and '.join(gains)}, but {why}", _more(need, pairs)
    return _without_gain(pairs, basis)


def _gains(pairs: Sequence[Pair], basis: str) -> list[str]:
    found = []
    for label, value in (("faster", _time(basis)), ("smaller", _memory)):
        interval = ratio_interval(_ratios(pairs, value))
        if interval and interval.low is not None and interval.low > LEAST_GAIN:
            found.append(label)
    return found


def _without_gain(pairs: Sequence[Pair], basis: str) -> tuple[Verdict, str, int | None]:
    needs, open_ones = [], []
    for label, value in (("time", _time(basis)), ("memory", _memory)):
        ratios = _ratios(pairs, value)
        interval = ratio_interval(ratios)
        if interval and interval.high is not None and interval.high >= WORTH_FINDING:
            logs = [math.log(ratio) for ratio in ratios]
            near = LEAST_GAIN if interval.middle > math.sqrt(LEAST_GAIN * WORTH_FINDING) else WORTH_FINDING
            distance = abs(math.log(interval.middle) - math.log(near))
            needs.append(pairs_to_decide(logs, distance, (1 + RATIO_LEVEL) / 2))
            open_ones.append(label)
    if not open_ones:
        return Verdict.NO_GAIN, f"a gain of {WORTH_FINDING - 1:.0%} or more is excluded", None
    need = max((n for n in needs if n is not None), default=None)
    what = " and ".join(open_ones)
    return Verdict.UNDECIDED, f"the interval of {what} holds both none and a gain", _more(need, pairs)


def _unless_setup_eats_it(result: ArmResult) -> ArmResult:
    """Turn a win in time that training is too short to see into what it is: no gain."""
    late = (
        result.verdict is Verdict.WIN
        and "smaller" not in result.reason
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


def _quality(differences: Sequence[float], margin: float) -> Literal["kept", "lost", "open"]:
    low, high = lower_bound(differences), upper_bound(differences)
    if low is not None and low >= -margin:
        return "kept"
    return "lost" if high is not None and high < -margin else "open"


def _control(pairs: Sequence[Pair]) -> Control:
    return Control(
        pairs=len(pairs),
        time_ratio=ratio_interval(_ratios(pairs, lambda m: m.seconds_per_item)),
        memory_ratio=ratio_interval(_ratios(pairs, _memory)),
        same_losses=_same_losses(pairs),
    )


def _visible(control: Control | None) -> float | None:
    ratio = control.time_ratio if control else None
    if ratio is None or ratio.low is None or ratio.high is None:
        return None
    return math.sqrt(ratio.high / ratio.low) - 1


def _time(basis: str) -> Callable[[Measurement], float | None]:
    return (lambda m: m.train_seconds) if basis == "training" else (lambda m: m.seconds_per_item)


def _memory(measured: Measurement) -> float | None:
    return measured.peak_memory_bytes


def _latency(measured: Measurement) -> float | None:
    return next((median(i.seconds) for i in measured.inference if i.items == 1), None)


def _ratios(pairs: Sequence[Pair], value: Callable[[Measurement], float | None]) -> list[float]:
    values = [(value(baseline), value(candidate)) for baseline, candidate in pairs]
    return [b / c for b, c in values if b is not None and c is not None and b > 0 and c > 0]


def _differences(pairs: Sequence[Pair]) -> list[float]:
    return [c.metric - b.metric for b, c in pairs if c.metric is not None and b.metric is not None]


def _same_losses(pairs: Sequence[Pair]) -> bool | None:
    """Tell whether all losses are bit-equal, over the steps that both of a pair made."""
    if not pairs:
        return None
    return all(
        all(x == y for x, y in zip(b.losses, c.losses, strict=False)) and b.metric == c.metric
        for b, c in pairs
    )


def _metric(trials: Sequence[Measurement]) -> Interval | None:
    """Return the mean over seeds: equal seeds are no replicates, so each seed counts once."""
    by_seed = {t.seed: t.metric for t in trials if t.metric is not None}
    return mean_interval(list(by_seed.values()), METRIC_LEVEL)


def _to_target(trials: Sequence[Measurement], target: float | None, metric: str) -> float | None:
    """Return the median training seconds to the target; None when most trials never reach it."""
    if target is None or not trials:
        return None
    times = [t.seconds_to(target, metric) for t in trials]
    middle = median(math.inf if seconds is None else seconds for seconds in times)
    return middle if math.isfinite(middle) else None


def _payback(pairs: Sequence[Pair], setups: Sequence[float]) -> int | None:
    saved = median(median(b.step_seconds) - median(c.step_seconds) for b, c in pairs)
    if not setups or setups[0] <= 0 or saved <= 0:
        return None
    return math.ceil(setups[0] / saved)


def _planned_steps(measured: Measurement) -> int | None:
    if measured.data is None or not measured.items or measured.planned_epochs is None:
        return None
    per_step = measured.items / len(measured.step_seconds)
    return round(measured.planned_epochs * max(1, measured.data.train_items // per_step))


def _middle(ratios: Sequence[float]) -> float | None:
    return median(ratios) if ratios else None


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _more(need: int | None, pairs: Sequence[Pair]) -> int | None:
    return None if need is None else max(1, need - len(pairs))
