"""Pair trials, and compute ratios and differences pair by pair."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analysis.objectives import Value
from bench.analysis.quality import apart, losses_agree
from bench.baseline import Target
from bench.records.measurement import BASELINE, CONTROL, Measurement, Status

Pair = tuple[Measurement, Measurement]
"""The baseline's trial and the candidate's, of one seed, run back to back."""


def pairs_of(trials: Sequence[Measurement], arm: str) -> list[Pair]:
    """Return (baseline, candidate) of each pair in which both trials are whole.

    Of an arm that was confirmed in fresh pairs, only those: luck helped the screening choose it.
    """
    return whole(matched(trials, arm))


def by_arm(trials: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """Return each arm's trials with the baseline's of the same numbers: all that `matched` asks of.

    To match many arms among all trials would look through all of them for each.
    """
    baselines: dict[int, list[Measurement]] = {}
    found: dict[str, dict[int, list[Measurement]]] = {}
    for trial in trials:
        if trial.arm == BASELINE:
            baselines.setdefault(trial.pair, []).append(trial)
        else:
            found.setdefault(trial.arm, {}).setdefault(trial.pair, []).append(trial)
    return {
        arm: [t for pair, each in own.items() for t in (*baselines.get(pair, ()), *each)]
        for arm, own in found.items()
    }


def whole(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs of which both trials ended well."""
    return [(b, c) for b, c in pairs if b.ok and c.ok]


def matched(trials: Sequence[Measurement], arm: str) -> list[Pair]:
    """Return (baseline, candidate) of each pair that says something, however its trials ended.

    That is, one of them is whole: a candidate that fails where the baseline succeeds is no accident
    to be passed over. Of an arm that was confirmed, only the fresh pairs. Arms of one block share
    their pair's number, and so the baseline's trial.
    """
    judging = [trial for trial in trials if trial.judges]
    known = {trial.key: trial for trial in judging}
    own = {trial.pair: trial for trial in judging if trial.arm == arm and trial.pair >= 0}
    if arm != CONTROL and any(t.stage == "confirm" for t in own.values()):
        own = {number: trial for number, trial in own.items() if trial.stage == "confirm"}
    found = [
        (known[number, BASELINE], own[number])
        for number in sorted(own)
        if (number, BASELINE) in known
    ]
    return [(b, c) for b, c in found if b.ok or (c.ok and b.status is Status.TIMED_OUT)]


def again(trials: Sequence[Measurement], screening: bool = False) -> list[Pair]:
    """Return the pairs of the baseline with itself: those of the A/A control.

    A screening's blocks are many: of its rounds, two of the baseline's trials that no control
    stands beside are such a pair, too.
    """
    own = matched(trials, CONTROL)
    if not screening:
        return own
    beside, rounds = {b.pair for b, _ in own}, dict[tuple[str, int, str], list[Measurement]]()
    for trial in sorted(trials, key=lambda trial: trial.pair):
        if trial.arm == BASELINE and trial.ok and trial.judges and trial.pair not in beside:
            rounds.setdefault((trial.stage, trial.seed, trial.kind), []).append(trial)
    return own + [
        pair for each in rounds.values() for pair in zip(each[::2], each[1::2], strict=False)
    ]


def of_one_kind(trials: Sequence[Measurement]) -> list[Measurement]:
    """Return the whole trainings, or all where there are none: steps alone need other costs."""
    return [trial for trial in trials if trial.kind == "full"] or [*trials]


def failed(pair: Pair) -> bool:
    """Tell whether the candidate gave nothing where its baseline did; too slow is not nothing."""
    baseline, candidate = pair
    return baseline.ok and not candidate.ok and candidate.status is not Status.TIMED_OUT


def ratios(pairs: Sequence[Pair], value: Value) -> list[float]:
    """Return baseline / candidate of each pair in which both values are known."""
    values = [(value(baseline), value(candidate)) for baseline, candidate in pairs]
    return [b / c for b, c in values if b is not None and c is not None and b > 0 and c > 0]


def gains(pairs: Sequence[Pair], target: Target) -> list[float]:
    """Return by how much the candidate's metric is better, in each pair that tells."""
    both = [(b.metric, c.metric) for b, c in pairs]
    known = [target.gain(b, c) for b, c in both if b is not None and c is not None]
    return [gain for gain in known if not math.isnan(gain)]


def by_metric(pairs: Sequence[Pair]) -> dict[str, list[float]]:
    """Return candidate - baseline of every metric of the last evaluations that both have."""
    found: dict[str, list[float]] = {}
    for baseline, candidate in pairs:
        if baseline.metrics and candidate.metrics:
            before, after = baseline.metrics[-1].values, candidate.metrics[-1].values
            for name in (name for name in before if name in after):
                found.setdefault(name, []).append(after[name] - before[name])
    return found


def same_losses(pairs: Sequence[Pair]) -> bool | None:
    """Tell whether all losses are bit-equal, over the steps that both of a pair made.

    None where no pair tells: fewer than 15 steps that are equal by chance say nothing.
    """
    found = [losses_agree(b.losses, c.losses) if b.metric == c.metric else False for b, c in pairs]
    if False in found:
        return False
    return True if found and None not in found else None


def unlike(again: Sequence[Pair]) -> float | None:
    """Return how far the baseline's losses differ from its own; None where they repeat."""
    if same_losses(whole(again)) is not False:
        return None
    return max(apart(b.losses, c.losses) for b, c in whole(again))


def compared_steps(pairs: Sequence[Pair]) -> int:
    """Return over how many steps the losses of every pair can be compared."""
    return min((min(len(b.losses), len(c.losses)) for b, c in pairs), default=0)
