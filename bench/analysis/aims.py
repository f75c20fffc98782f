"""What a run is after: in which objectives a gain counts, and what no arm may exceed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median

from bench.analysis.front import front
from bench.analysis.objectives import BY_NAME, DEPLOYED, OBJECTIVES, TIME, Gain, Objective
from bench.analysis.pairs import Pair, of_one_kind
from bench.analysis.payback import planned_seconds
from bench.analysis.results import Aims, ArmResult, Comparison
from bench.analysis.verdict import Verdict
from bench.records.measurement import Measurement

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


def excess(trials: Sequence[Measurement], aims: Aims, least: bool = False) -> str | None:
    """Say what of an arm is over its limit, by the median of its trials; None where nothing is.

    With `least`, only where every trial is: more of them would change nothing.
    """
    good = [trial for trial in trials if trial.ok]
    found = []
    for row in OBJECTIVES:
        values = [value for trial in good if (value := used(row, trial)) is not None]
        limit = aims.limits.get(row.name)
        if limit is None or not values or (min(values) if least else median(values)) <= limit:
            continue
        shown, most = (_amount(value, row.unit) for value in (median(values), limit))
        found.append(f"{_whole(row)} of {shown} is over the limit of {most}")
    return "; ".join(found) or None


def excess_of_baseline(trials: Sequence[Measurement], aims: Aims) -> str | None:
    """Say what of the baseline is over a limit: one below 1x is a gain that is asked for."""
    return excess_of_pairs([(trial, trial) for trial in of_one_kind(trials)], aims)


def excess_of_pairs(pairs: Sequence[Pair], aims: Aims, least: bool = False) -> str | None:
    """Say what of an arm is over a limit, its own or beside the baseline, by the median pair."""
    if not aims.limits and not aims.times_baseline:
        return None
    choose = min if least else median
    found = [excess([_deployed(pair) for pair in pairs], aims, least)]
    for name, most in aims.times_baseline.items():
        times = [value for pair in pairs if (value := _times(BY_NAME[name], pair)) is not None]
        if times and choose(times) > most:
            found.append(
                f"{_whole(BY_NAME[name])} is {median(times):.3g}x the baseline's, over the limit "
                f"of {most:g}x"
            )
    return "; ".join(filter(None, found)) or None


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

    How many times the baseline's a deployed model takes is known without a trial there.
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
    """Return how many times what the baseline takes a candidate does."""
    if row.is_shared(*pair):
        return 1.0
    told = row.in_steps or pair[1].kind == "full"
    before, after = (
        (used(row, trial) if told else row.of_step(trial)) if trial.ok else None for trial in pair
    )
    return after / before if before and after is not None else None


def used(row: Objective, trial: Measurement) -> float | None:
    """Return what a limit is on, of a whole training: of time, reckoned from its steps."""
    if trial.kind == "full":
        return row.of_training(trial)
    if row is not TIME:
        return row.of_training(trial) if row.in_steps else None
    steps = planned_seconds(trial)
    return None if steps is None else steps + (trial.setup_seconds or 0.0)


def limited(result: ArmResult, pairs: Sequence[Pair], aims: Aims) -> ArmResult:
    """Return a result, as over the limit where it is; what is not known is no win within one."""
    worse = result.verdict in (Verdict.FAILED, Verdict.ACCURACY_LOSS)
    if worse or not result.pairs:
        return result
    over: dict[str, object] = {"goes_on": False, "more_pairs": None}
    if why := excess_of_pairs(pairs, aims):
        return result.model_copy(update={"verdict": Verdict.OVER_LIMIT, "reason": why, **over})
    if result.verdict is not Verdict.WIN or not (names := untold(pairs, aims)):
        return result
    said = f"{result.reason}, but its {' and '.join(names)}, which is limited, was not measured"
    return result.model_copy(update={"verdict": Verdict.UNDECIDED, "reason": said, **over})


def wanted(comparison: Comparison, gains: Sequence[Gain]) -> bool:
    """Tell whether gains are what the run is after.

    Where the baseline is over a limit, any gain is: what has it keeps the limits.
    """
    if not comparison.aims.objectives or comparison.baseline_over:
        return bool(gains)
    return any(BY_NAME[name].gain in gains for name in comparison.aims.objectives)


def by_what_is_wanted(comparison: Comparison) -> Comparison:
    """Return a comparison in which a win in other things than the run is after is no gain."""
    arms = tuple(
        result if result.verdict is not Verdict.WIN or wanted(comparison, result.gains)
        else _unwanted(result, comparison.aims)
        for result in comparison.arms
    )  # fmt: skip
    return comparison.model_copy(update={"arms": arms})


def _unwanted(result: ArmResult, aims: Aims) -> ArmResult:
    after = " or ".join(aims.objectives)
    said = f"{result.reason}, but no gain in {after} is shown, which is what the run is after"
    return result.model_copy(update={"verdict": Verdict.NO_GAIN, "reason": said})


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
    won = [r for r in comparison.arms if r.verdict is Verdict.WIN and wanted(comparison, r.gains)]
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
    fit = [r for r in comparison.arms if r.verdict is verdict and wanted(comparison, r.gains)]
    return max(fit, key=lambda result: merit(result, comparison.aims, of), default=None)


def _log(result: ArmResult, name: str, of: Bound) -> float:
    value = of(result, name)
    return math.log(value) if value and value > 0 else -math.inf


def _whole(row: Objective) -> str:
    return "training" if row is TIME else row.name


def _amount(value: float, unit: str) -> str:
    return f"{value / MIB:,.4g} MiB" if unit == "bytes" else f"{value:,.4g} {unit}"
