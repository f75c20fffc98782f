"""Pair trials, and compute ratios and differences pair by pair."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from bench.analysis.objectives import Value
from bench.analysis.quality import Unlike, apart, losses_agree
from bench.baseline import Target
from bench.records.measurement import BASELINE, CONTROL, Measurement, Status

Pair = tuple[Measurement, Measurement]
"""The baseline's trial and the candidate's, of one seed, run back to back."""
ONE_SEED = (
    "every seed gives the same training, so its quality is seen on one alone: let the seed be the "
    "pair's (of a script: --seed-argument)"
)


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
    """Return (baseline, candidate) of each pair that says something, however its trials ended."""
    return [pair for pair in pairs_made(trials, arm) if tells(pair)]


def pairs_made(trials: Sequence[Measurement], arm: str) -> list[Pair]:
    """Return (baseline, candidate) of each pair of which both trials were made, in their order.

    What a pair would have told whose baseline failed is unknown, and no failure of the arm; but it
    is one of those that a test of so many pairs makes. Of an arm that was confirmed, only the fresh
    pairs. Arms of one block share their pair's number, and so the baseline's trial.
    """
    judging = [trial for trial in trials if trial.judges]
    known = {trial.key: trial for trial in judging}
    own = {trial.pair: trial for trial in judging if trial.arm == arm and trial.pair >= 0}
    if arm != CONTROL and any(t.stage == "confirm" for t in own.values()):
        own = {number: trial for number, trial in own.items() if trial.stage == "confirm"}
    return [
        (known[number, BASELINE], own[number])
        for number in sorted(own)
        if (number, BASELINE) in known
    ]


def tells(pair: Pair) -> bool:
    """Tell whether a pair says something: its baseline succeeded, or only its candidate in time.

    A candidate that fails where the baseline succeeds is no accident to be passed over.
    """
    baseline, candidate = pair
    return baseline.ok or (candidate.ok and baseline.status is Status.TIMED_OUT)


def with_metric(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs that tell the metric of both trials."""
    return [p for p in pairs if tells(p) and all(trial.metric is not None for trial in p)]


def distinct(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs whose baseline trained otherwise than those of the pairs before.

    Trainings of the same losses and the same metric are one, whatever seeds they were given: their
    pairs are no replicates of quality. Those without losses can't be told to be one.
    """
    found: dict[tuple[object, ...], Pair] = {}
    for pair in pairs:
        base = pair[0]
        found.setdefault((base.losses, base.metric) if base.losses else base.key, pair)
    return [*found.values()]


def trainings(trials: Iterable[Measurement]) -> list[Measurement]:
    """Return the trials that tell a metric and trained otherwise than those before them."""
    return [trial for trial, _ in distinct([(t, t) for t in trials if t.metric is not None])]


def once(pairs: Sequence[Pair]) -> list[bool]:
    """Tell of each pair whether it tells the metric of a training that no pair before it has."""
    known = {id(pair) for pair in distinct(with_metric(pairs))}
    return [id(pair) in known for pair in pairs]


def has_one_seed(pairs: Sequence[Pair]) -> bool:
    """Tell whether the baseline trained the same in all of several pairs that tell the metric."""
    known = with_metric(pairs)
    return len(known) > 1 and len(distinct(known)) == 1


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


def failures(pairs: Sequence[Pair]) -> list[float]:
    """Return 1 for each pair whose candidate alone failed, 0 for others, NaN where none tells."""
    return [float(failed(pair)) if tells(pair) else math.nan for pair in pairs]


def ratios(pairs: Sequence[Pair], value: Value) -> list[float]:
    """Return baseline / candidate of each pair in which both values are known."""
    values = [(value(baseline), value(candidate)) for baseline, candidate in pairs]
    return [b / c for b, c in values if b is not None and c is not None and b > 0 and c > 0]


def gains(pairs: Sequence[Pair], target: Target) -> list[float]:
    """Return by how much the candidate's metric is better in each pair, NaN where it is unknown."""
    return [_gain(pair, target) for pair in pairs]


def _gain(pair: Pair, target: Target) -> float:
    before, after = (trial.metric for trial in pair)
    if before is None or after is None or not tells(pair):
        return math.nan
    return target.gain(before, after)


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


def unlike(again: Sequence[Pair]) -> Unlike | None:
    """Return how far the baseline's losses differ from its own; None where they repeat."""
    own = whole(again)
    if same_losses(own) is not False:
        return None
    return Unlike(max(apart(b.losses, c.losses) for b, c in own), len(own))


def compared_steps(pairs: Sequence[Pair]) -> int:
    """Return over how many steps the losses of every pair can be compared."""
    return min((min(len(b.losses), len(c.losses)) for b, c in pairs), default=0)
