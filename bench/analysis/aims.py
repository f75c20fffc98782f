"""What a run is after: in which objectives a gain counts, and what no arm may exceed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from bench.analysis.front import front
from bench.analysis.objectives import (
    BY_NAME,
    DEPLOYED,
    TIME,
    Objective,
    Sought,
    basis_of,
)
from bench.analysis.out_of_time import out_of_time
from bench.analysis.pairs import Pair, of_one_kind, whole
from bench.analysis.payback import planned_seconds
from bench.analysis.results import Aims, ArmResult, Comparison
from bench.analysis.verdict import Verdict
from bench.records.measurement import BASELINE, CONTROL, Measurement, Status

MIB = 1024**2
UNKNOWN = 1.0
"""The share by which a limit counts as exceeded where that can't be told."""
Bound = Callable[[ArmResult, str], float | None]
"""What of an arm's ratio in an objective is looked at."""


def _low(result: ArmResult, name: str) -> float | None:
    interval = result.ratio(name)
    return interval.low if interval else None


def middle(result: ArmResult, name: str) -> float | None:
    """Return the middle of an arm's ratio in an objective."""
    interval = result.ratio(name)
    return interval.middle if interval else None


def excess_of_baseline(trials: Sequence[Measurement], aims: Aims) -> str | None:
    """Say what of the baseline is over a limit: one below 1x is a gain that is asked for."""
    return _said(_exceeded(_of_baseline(trials), aims))


def sought_by(trials: Sequence[Measurement], aims: Aims) -> Sought:
    """Return in what a run looks for gains, by the limits that its baseline is over."""
    return aims.sought([name for name, _ in _exceeded(_of_baseline(trials), aims)])


def excess_of_pairs(
    pairs: Sequence[Pair], aims: Aims, first: int = 1, least: bool = False
) -> str | None:
    """Say what of an arm is over a limit, its own or beside the baseline, by the median pair.

    Fewer than the `first` that know it don't tell. With `least`, only where every pair is over:
    more of them would change nothing.
    """
    return _said(_exceeded(pairs, aims, first, least))


def _said(exceeded: Iterable[tuple[str, str]]) -> str | None:
    return "; ".join(said for _, said in exceeded) or None


def _exceeded(
    pairs: Sequence[Pair], aims: Aims, first: int = 1, least: bool = False
) -> list[tuple[str, str]]:
    """Return what is over its limit, each objective with what is said of it."""
    found: list[tuple[str, str]] = []
    choose = min if least else median
    for name, most in aims.limits.items():
        row = BY_NAME[name]
        values = _known(_taken(row, pair) for pair in pairs)
        if len(values) >= first and choose(values) > most:
            shown, limit = (_amount(value, row.unit) for value in (median(values), most))
            found.append((name, f"{_whole(row)} of {shown} is over the limit of {limit}"))
    for name, most in aims.times_baseline.items():
        row = BY_NAME[name]
        values = _known(_times_taken(row, pair) for pair in pairs)
        if len(values) >= first and choose(values) > most:
            times = f"{median(values):.3g}x the baseline's"
            found.append((name, f"{_whole(row)} is {times}, over the limit of {most:g}x"))
    return found


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _of_baseline(trials: Sequence[Measurement]) -> list[Pair]:
    """Return the baseline's trials that may judge, each beside itself."""
    own = [trial for trial in trials if trial.arm in (BASELINE, CONTROL) and trial.judges]
    made = [trial for trial in own if trial.ok or trial.status is Status.TIMED_OUT]
    return [(trial, trial) for trial in of_one_kind(made)]


def violation(pair: Pair, aims: Aims) -> float:
    """Return by what share of a limit a pair exceeds it, the one it exceeds most; below 0: none.

    What is not known exceeds it by all of it, unless that is not known of the baseline either.
    """
    shares = [
        UNKNOWN if taken is None else taken / most - 1
        for row, taken, most in _held(pair, aims)
        if taken is not None or used(row, pair[0]) is not None
    ]
    return max(shares, default=0.0)


def untold(pairs: Sequence[Pair], aims: Aims) -> list[str]:
    """Return what is limited of an arm and known of none of its pairs."""
    known = {row.name for pair in pairs for row, taken, _ in _held(pair, aims) if taken is not None}
    asked = dict.fromkeys((*aims.limits, *aims.times_baseline))
    return [_whole(BY_NAME[name]) for name in asked if name not in known]


def told_by_steps(aims: Aims) -> bool:
    """Tell whether trials of steps alone tell all that is limited, where the work is the same.

    Of time, as far as it is planned how many steps a training makes. How many times the baseline's
    a deployed model takes is known without a trial there.
    """
    times = [name for name in aims.times_baseline if BY_NAME[name].effects != DEPLOYED]
    return all(BY_NAME[name].in_steps for name in (*aims.limits, *times))


def _held(pair: Pair, aims: Aims) -> list[tuple[Objective, float | None, float]]:
    """Return what of a pair's candidate is limited, by what it takes and the most it may."""
    own, candidate = BY_NAME, _deployed(pair)
    found = [(own[name], used(own[name], candidate), most) for name, most in aims.limits.items()]
    return found + [
        (own[name], _times(own[name], pair), most) for name, most in aims.times_baseline.items()
    ]


def _deployed(pair: Pair) -> Measurement:
    """Return the candidate with what is the baseline's of it: the model, where that is deployed."""
    baseline, candidate = pair
    if candidate.effect == "model":
        return candidate
    shared = {
        "inference": candidate.inference or baseline.inference,
        "model_bytes": candidate.model_bytes or baseline.model_bytes,
    }
    return candidate.model_copy(update=shared)


def _times(row: Objective, pair: Pair) -> float | None:
    """Return how many times what the baseline takes a candidate does.

    Of steps that do the same work these tell it, where no whole training can be reckoned from them.
    """
    if row.is_shared(*pair):
        return 1.0
    told = row.in_steps or pair[1].kind == "full"
    taken = [(used(row, t) if told else row.of_step(t)) if t.ok else None for t in pair]
    stepped = row is TIME and pair[1].kind == "step" and basis_of(pair[1]) == "step"
    if stepped and None in taken:
        taken = [row.of_step(trial) if trial.ok else None for trial in pair]
    return _ratio(*taken)


def _ratio(before: float | None, after: float | None) -> float | None:
    return after / before if before and after is not None else None


def _taken(row: Objective, pair: Pair) -> float | None:
    """Return what a candidate takes of what is limited; out of time it took at least so long."""
    candidate = pair[1]
    if row is TIME and candidate.status is Status.TIMED_OUT:
        return candidate.wall_seconds
    return used(row, _deployed(pair)) if candidate.ok else None


def _times_taken(row: Objective, pair: Pair) -> float | None:
    """Return how many times the baseline's that is; where one ran out of time, of whole trials."""
    if row is TIME and out_of_time(pair):
        return _ratio(*(trial.wall_seconds for trial in pair))
    return _times(row, pair)


def used(row: Objective, trial: Measurement) -> float | None:
    """Return what a limit is on, of a whole training: of time, reckoned from its steps."""
    if trial.kind == "full":
        return row.of_training(trial)
    if row is not TIME:
        return row.of_training(trial) if row.in_steps else None
    steps = planned_seconds(trial)
    return None if steps is None else steps + (trial.setup_seconds or 0.0)


def limited(result: ArmResult, pairs: Sequence[Pair], aims: Aims, first: int) -> ArmResult:
    """Return a result, as over the limit where it is; what is not known is no win within one.

    Fewer than the `first` pairs that know it tell it of a win alone. While an arm goes on it is
    over only where every pair is: more of them may be within the limit.
    """
    worse = result.verdict in (Verdict.FAILED, Verdict.ACCURACY_LOSS)
    if worse or not result.pairs:
        return result
    over: dict[str, object] = {"goes_on": False, "more_pairs": None}
    enough = 1 if result.verdict is Verdict.WIN else first
    if why := excess_of_pairs(pairs, aims, enough, least=result.goes_on):
        return result.model_copy(update={"verdict": Verdict.OVER_LIMIT, "reason": why, **over})
    if result.verdict is not Verdict.WIN or not (names := untold(whole(pairs), aims)):
        return result
    said = f"{result.reason}, but its {' and '.join(names)}, which is limited, was not measured"
    return result.model_copy(update={"verdict": Verdict.UNDECIDED, "reason": said, **over})


def best(comparison: Comparison) -> ArmResult | None:
    """Return the winner that surely gains the most in what the run is after."""
    return _best_of(comparison, Verdict.WIN)


def best_screened(comparison: Comparison) -> ArmResult | None:
    """Return the best of what a screening chose."""
    return _best_of(comparison, Verdict.SCREENED, middle)


def choice(comparison: Comparison) -> tuple[str, ...]:
    """Return the winners that no other one beats in both of two objectives; none where one is."""
    if len(comparison.aims.objectives) < 2:
        return ()
    one, other = comparison.aims.objectives
    won = [result for result in comparison.arms if result.verdict is Verdict.WIN]
    return tuple(front({r.arm: (_log(r, one, middle), _log(r, other, middle)) for r in won}))


def merit(result: ArmResult, aims: Aims, of: Bound = _low) -> tuple[float, ...]:
    """Return what ranks arms: the bounds that gains are sure to reach, or what else `of` tells.

    Of the metric its difference, of two objectives the sum of logarithms. Where none is named:
    those that save time first, by it, then by memory.
    """
    if aims.quality:
        gain = result.quality_gain
        return (-math.inf if gain is None or gain.low is None else gain.low,)
    if aims.objectives:
        return (math.fsum(_log(result, name, of) for name in aims.objectives),)
    faster = "faster" in result.gains
    return float(faster), _log(result, "time" if faster else "memory", of)


def _best_of(comparison: Comparison, verdict: Verdict, of: Bound = _low) -> ArmResult | None:
    fit = [result for result in comparison.arms if result.verdict is verdict]
    return max(fit, key=lambda result: merit(result, comparison.aims, of), default=None)


def _log(result: ArmResult, name: str, of: Bound) -> float:
    value = of(result, name)
    return math.log(value) if value and value > 0 else -math.inf


def _whole(row: Objective) -> str:
    return "training" if row is TIME else row.name


def _amount(value: float, unit: str) -> str:
    return f"{value / MIB:,.4g} MiB" if unit == "bytes" else f"{value:,.4g} {unit}"
