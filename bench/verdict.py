"""The verdict on a candidate: what its paired measurements show, beyond chance. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from bench.ratios import Pair, differences, memory_of, ratios, same_losses, time_of
from bench.statistics import (
    METRIC_LEVEL,
    RATIO_LEVEL,
    lower_bound,
    pairs_to_decide,
    ratio_interval,
    upper_bound,
)

LEAST_GAIN = 1.01
"""A win's interval must lie above this ratio: what is smaller is not worth a change of config."""
WORTH_FINDING = 1.05
"""Where the interval excludes gains of this size, the answer is "no gain", not "undecided"."""


class Verdict(StrEnum):
    """What a run says of a candidate."""

    WIN = "win"
    NO_GAIN = "no gain"
    ACCURACY_LOSS = "accuracy loss"
    UNDECIDED = "undecided"
    NOT_APPLICABLE = "not applicable"
    FAILED = "failed"


def judge(
    pairs: Sequence[Pair], basis: str, margin: float, repeatable: bool
) -> tuple[Verdict, str, int | None]:
    """Return verdict, reason and about how many more pairs would decide."""
    exact = pairs[0][1].effect == "exact"
    if exact and repeatable and not same_losses(pairs):
        return Verdict.FAILED, "it declares the effect exact, but the losses differ", None
    if len(pairs) < 2:
        return Verdict.UNDECIDED, "one pair gives no interval", 2
    changes = differences(pairs)
    quality = "kept" if exact else _quality(changes, margin)
    if quality == "lost":
        bound = upper_bound(changes)
        return Verdict.ACCURACY_LOSS, f"the metric fell by at least {-(bound or 0):.4f}", None
    gains = _gains(pairs, basis)
    if gains and quality == "kept":
        return Verdict.WIN, " and ".join(gains), None
    if gains:
        mean = math.fsum(changes) / len(changes) if changes else 0.0
        need = pairs_to_decide(changes, abs(mean + margin), METRIC_LEVEL)
        why = "the metric's interval still holds losses beyond the margin"
        return Verdict.UNDECIDED, f"{' and '.join(gains)}, but {why}", _more(need, pairs)
    return _without_gain(pairs, basis)


def _gains(pairs: Sequence[Pair], basis: str) -> list[str]:
    found = []
    for label, value in (("faster", time_of(basis)), ("smaller", memory_of)):
        interval = ratio_interval(ratios(pairs, value))
        if interval and interval.low is not None and interval.low > LEAST_GAIN:
            found.append(label)
    return found


def _without_gain(pairs: Sequence[Pair], basis: str) -> tuple[Verdict, str, int | None]:
    needs, open_ones = [], []
    for label, value in (("time", time_of(basis)), ("memory", memory_of)):
        own = ratios(pairs, value)
        interval = ratio_interval(own)
        if interval and interval.high is not None and interval.high >= WORTH_FINDING:
            logs = [math.log(ratio) for ratio in own]
            between = math.sqrt(LEAST_GAIN * WORTH_FINDING)
            near = LEAST_GAIN if interval.middle > between else WORTH_FINDING
            distance = abs(math.log(interval.middle) - math.log(near))
            needs.append(pairs_to_decide(logs, distance, (1 + RATIO_LEVEL) / 2))
            open_ones.append(label)
    if not open_ones:
        return Verdict.NO_GAIN, f"a gain of {WORTH_FINDING - 1:.0%} or more is excluded", None
    need = max((n for n in needs if n is not None), default=None)
    what = " and ".join(open_ones)
    return (
        Verdict.UNDECIDED,
        f"the interval of {what} holds both none and a gain",
        _more(need, pairs),
    )


def _quality(changes: Sequence[float], margin: float) -> Literal["kept", "lost", "open"]:
    low, high = lower_bound(changes), upper_bound(changes)
    if low is not None and low >= -margin:
        return "kept"
    return "lost" if high is not None and high < -margin else "open"


def _more(need: int | None, pairs: Sequence[Pair]) -> int | None:
    return None if need is None else max(1, need - len(pairs))
