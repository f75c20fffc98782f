"""Judge a candidate by what its pairs show beyond chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, NamedTuple

from bench.analysis.intervals import (
    METRIC_LEVEL,
    RATIO_LEVEL,
    lower_bound,
    pairs_to_decide,
    ratio_interval,
    upper_bound,
)
from bench.analysis.objectives import Value, file_of, inference_of, memory_of, time_of
from bench.analysis.pairs import Pair, differences, ratios, same_losses

LEAST_GAIN = 1.01
"""A win's interval must lie above this ratio: what is smaller is not worth a change of config."""
WORTH_FINDING = 1.05
"""Where the interval excludes gains of this size, the answer is "no gain", not "undecided"."""


LEAST_PAIRS = 3
"""Two metrics are often equal by chance: on small test parts they come in few steps."""
Gain = Literal["faster", "smaller", "faster inference", "smaller file"]
"""The first two are of training; the others count where a technique deploys another model."""


class Verdict(StrEnum):
    """What a run says of a candidate."""

    WIN = "win"
    NO_GAIN = "no gain"
    ACCURACY_LOSS = "accuracy loss"
    UNDECIDED = "undecided"
    NOT_APPLICABLE = "not applicable"
    FAILED = "failed"


class Judgement(NamedTuple):
    """A verdict with what it rests on."""

    verdict: Verdict
    reason: str
    gains: tuple[Gain, ...] = ()
    """What the intervals show, whatever the verdict."""
    more_pairs: int | None = None
    """About how many more pairs would decide; None when decided, or when that can't be told."""


def judge(pairs: Sequence[Pair], basis: str, margin: float, repeatable: bool) -> Judgement:
    """Judge a candidate by its pairs with the baseline, of which there is at least one.

    `repeatable` says whether the baseline's own losses are the same in equal trials: only then can
    an EXACT technique be held to its word.
    """
    exact = pairs[0][1].effect == "exact"
    if exact and repeatable and not same_losses(pairs):
        return Judgement(Verdict.FAILED, "it declares the effect exact, but the losses differ")
    if len(pairs) < 2:
        return Judgement(Verdict.UNDECIDED, "one pair gives no interval")
    changes = differences(pairs)
    quality = "kept" if exact else _quality(changes, margin)
    gains = _gains(pairs, basis)
    if quality == "lost":
        fall = -(upper_bound(changes) or 0.0)
        reason = f"the metric fell by at least {fall:.4f} (one-sided, 95 %)"
        return Judgement(Verdict.ACCURACY_LOSS, reason, gains)
    if gains and quality == "kept":
        return Judgement(Verdict.WIN, ", ".join(gains), gains)
    return _open_quality(pairs, gains, margin) if gains else _without_gain(pairs, basis)


def _open_quality(pairs: Sequence[Pair], gains: tuple[Gain, ...], margin: float) -> Judgement:
    changes = differences(pairs)
    mean = math.fsum(changes) / len(changes) if changes else 0.0
    need = pairs_to_decide(changes, abs(mean + margin), METRIC_LEVEL)
    if len(changes) < LEAST_PAIRS:
        need = max(need or 0, LEAST_PAIRS)
    reason = f"{' and '.join(gains)}, but losses of the metric beyond the margin are not excluded"
    return Judgement(Verdict.UNDECIDED, reason, gains, _more(need, pairs))


def _gains(pairs: Sequence[Pair], basis: str) -> tuple[Gain, ...]:
    found: list[Gain] = []
    for label, _, value in _merits(pairs, basis):
        interval = ratio_interval(ratios(pairs, value))
        if interval and interval.low is not None and interval.low > LEAST_GAIN:
            found.append(label)
    return tuple(found)


def _merits(pairs: Sequence[Pair], basis: str) -> list[tuple[Gain, str, Value]]:
    """Return what can be gained, with the name of what is measured."""
    merits: list[tuple[Gain, str, Value]] = [
        ("faster", "time", time_of(basis)),
        ("smaller", "memory", memory_of),
    ]
    if pairs[0][1].effect == "model":  # three by chance: 3 x 1.25 % stays below 5 %; sizes repeat
        merits.append(("faster inference", "inference time", inference_of(1)))
        merits.append(("smaller file", "file size", file_of))
    return merits


def _without_gain(pairs: Sequence[Pair], basis: str) -> Judgement:
    found = {what: ratios(pairs, value) for _, what, value in _merits(pairs, basis)}
    needs = {what: _pairs_for(own) for what, own in found.items() if _may_gain(own)}
    if not needs:
        reason = f"a gain of {100 * (WORTH_FINDING - 1):.0f} % or more is excluded"
        return Judgement(Verdict.NO_GAIN, reason)
    known = [need for need in needs.values() if need is not None]
    more = _more(max(known), pairs) if len(known) == len(needs) else None
    reason = f"the interval of {' and '.join(needs)} holds both none and a gain"
    return Judgement(Verdict.UNDECIDED, reason, more_pairs=more)


def _may_gain(own: Sequence[float]) -> bool:
    interval = ratio_interval(own)
    return interval is not None and interval.high is not None and interval.high >= WORTH_FINDING


def _pairs_for(own: Sequence[float]) -> int | None:
    """Return how many pairs bring the interval to one side: above a gain, or below a worthy one."""
    logs = [math.log(ratio) for ratio in own]
    middle = math.fsum(logs) / len(logs)
    least, worth = math.log(LEAST_GAIN), math.log(WORTH_FINDING)
    near = least if middle > (least + worth) / 2 else worth
    return pairs_to_decide(logs, abs(middle - near), (1 + RATIO_LEVEL) / 2)


def _quality(changes: Sequence[float], margin: float) -> Literal["kept", "lost", "open"]:
    if len(changes) < LEAST_PAIRS:
        return "open"
    low, high = lower_bound(changes), upper_bound(changes)
    if low is not None and low >= -margin:
        return "kept"
    return "lost" if high is not None and high < -margin else "open"


def _more(need: int | None, pairs: Sequence[Pair]) -> int | None:
    return None if need is None else max(1, need - len(pairs))
