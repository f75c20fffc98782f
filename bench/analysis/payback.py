"""Compute the break-even: after how many steps or epochs set-up costs are recovered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from bench.analysis.pairs import Pair
from bench.analysis.results import ArmResult
from bench.analysis.verdict import Verdict
from bench.records.measurement import BASELINE, CONTROL, Measurement

ROUNDING = 1e-9
"""What a number of steps may be off by in floating point."""


def seconds_saved_an_epoch(pairs: Sequence[Pair]) -> float | None:
    """Return how much shorter an epoch of the candidate is; the median over pairs."""
    saved = [
        b.seconds_per_item * b.items_an_epoch - c.seconds_per_item * c.items_an_epoch
        for b, c in pairs
        if b.seconds_per_item and c.seconds_per_item and b.items_an_epoch and c.items_an_epoch
    ]
    return median(saved) if saved else None


class Made(NamedTuple):
    """What a run has made, of all arms and stages."""

    pairs: list[Pair]
    """Those that are whole, as they were made."""
    steps: int | None
    """Of a whole training of the baseline, where trials of it alone tell: of a script."""


def made_of(trials: Sequence[Measurement], probes: Sequence[Measurement] = ()) -> Made:
    """Return what a run has made, by all its trials and probes."""
    own = [one for one in (*trials, *probes) if one.ok and one.arm in (BASELINE, CONTROL)]
    return Made(_in_order(trials), next(filter(None, map(_to_its_end, own)), None))


def _in_order(trials: Sequence[Measurement]) -> list[Pair]:
    own = [trial for trial in trials if trial.ok and trial.pair >= 0]
    baselines = {trial.pair: trial for trial in own if trial.arm == BASELINE}
    found = [
        (baselines[trial.pair], trial)
        for trial in own
        if trial.arm not in (BASELINE, CONTROL) and trial.pair in baselines
    ]
    return sorted(found, key=lambda pair: pair[1].pair)


def with_first(pairs: Sequence[Pair], made: Sequence[Pair]) -> list[Pair]:
    """Return an arm's pairs, before them the first that a run made of its recipe at all.

    All trials of a run share their caches: what is confirmed finds those that its first trial left.
    """
    candidate = pairs[0][1]
    first = next((pair for pair in made if pair[1].recipe == candidate.recipe), pairs[0])
    return [first, *(pair for pair in pairs if pair[1].key != first[1].key)]


class Setup(NamedTuple):
    """What the first steps cost above the usual, less the baseline's."""

    first: float
    """In the first trial, whose caches are cold."""
    warm: float | None
    """In the later trials, the median."""
    cost: float
    """What a training pays: the first, where it is beyond what the later ones and chance explain.
    """
    sure: bool
    """Whether the cost is beyond what the baseline's own set-ups differ by, or all of a single one.
    """


def setup_of(pairs: Sequence[Pair]) -> Setup | None:
    """Return what set-up costs; one first trial alone proves nothing, so chance is allowed for."""
    known = [
        (b.setup_seconds, c.setup_seconds)
        for b, c in pairs
        if b.setup_seconds is not None and c.setup_seconds is not None
    ]
    if not known:
        return None
    first, *later = (c - b for b, c in known)
    before = [b for b, _ in known]
    chance = max(before) - (min(before) if later else 0.0)
    warm = median(later) if later else None
    cold = warm is None or first - warm > chance
    cost = max(0.0, first if cold else warm or 0.0)
    return Setup(max(0.0, first), None if warm is None else max(0.0, warm), cost, cost > chance)


def payback_steps(pairs: Sequence[Pair], setup: Setup | None) -> int | None:
    """Return the steps until faster ones have made up for the set-up; None: never."""
    saved = [
        median(b.step_seconds) - median(c.step_seconds)
        for b, c in pairs
        if b.step_seconds and c.step_seconds
    ]
    if setup is None or setup.cost <= 0 or not saved or median(saved) <= 0:
        return None
    return math.ceil(setup.cost / median(saved))


def held_to_payback(result: ArmResult) -> ArmResult:
    """Turn a win in time that training is too short to see, or its choice, into no gain."""
    late = (
        result.verdict in (Verdict.WIN, Verdict.SCREENED)
        and result.gains == ("faster",)
        and result.setup_is_sure
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


def planned_steps(measured: Measurement) -> int | None:
    """Return how many steps a whole training makes; None where that can't be told.

    What plans no epochs, as a script, has made them in a trial that ran to its end. Else by the
    items of a step, of which the last of an epoch may have fewer, and those of an epoch: of a whole
    training as many as it saw, be some drawn twice.
    """
    if (seen := _to_its_end(measured)) is not None:
        return seen
    epoch, planned = measured.items_an_epoch, measured.planned_epochs
    if measured.kind == "full" and measured.items_seen and measured.epochs == planned:
        epoch = round(measured.items_seen / planned)
    if not epoch or not measured.step_seconds or not measured.items or planned is None:
        return None
    of_epoch = epoch * len(measured.step_seconds) / measured.items
    return planned * max(1, math.floor(of_epoch + ROUNDING))


def plans_its_steps(measured: Measurement) -> bool:
    """Tell whether it is known before the end how many steps a training makes, as of no script."""
    return measured.planned_epochs is not None and bool(measured.items_an_epoch)


def _to_its_end(measured: Measurement) -> int | None:
    """Return the steps of a whole training that plans no epochs."""
    if measured.kind != "full" or measured.planned_epochs is not None:
        return None
    return len(measured.warmup_step_seconds) + len(measured.step_seconds) or None


def planned_seconds(measured: Measurement) -> float | None:
    """Return about how long the steps of a whole training take, by those of one trial."""
    steps = planned_steps(measured)
    if steps is None or measured.window_seconds is None:
        return None
    return steps * measured.window_seconds / len(measured.step_seconds)
