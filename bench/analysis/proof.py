"""Does a claimed ratio hold? Looked at after every pair, with three answers."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from bench.analysis.estimate import RATIO_FLOOR, Counts, Flags, Values, bounds, estimate
from bench.analysis.levels import Rule
from bench.analysis.sequential import LEAST, WORTH


class Proof(StrEnum):
    """What the pairs so far say of a claim."""

    HOLDS = "holds"
    BROKEN = "broken"
    OPEN = "not decided"


def prove(logs: Values, claimed: float, rule: Rule, clip: bool = True) -> tuple[Proof, int]:
    """Return whether a claimed log ratio holds, and after how many pairs that was known."""
    (holds,), (broken,), (pairs,) = proofs(np.asarray(logs, float)[None], claimed, rule, clip)
    return (Proof.BROKEN if broken else Proof.HOLDS if holds else Proof.OPEN), int(pairs)


def prove_better(gains: Values, claimed: float, floor: float, rule: Rule) -> Proof:
    """Return whether a claimed gain of the metric holds, by differences in single pairs.

    It holds where the lower bound is above half of it, and is broken where the upper bound is below
    it: another day costs a metric nothing. `floor` is the least standard deviation believed.
    """
    for n in rule.looks(len(gains)):
        low, high = bounds(estimate(gains[:n], floor), rule.alpha, rule)
        if high < claimed:
            return Proof.BROKEN
        if low > claimed / 2:
            return Proof.HOLDS
    return Proof.OPEN


def proofs(
    logs: Values, claimed: float, rule: Rule, clip: bool = True
) -> tuple[Flags, Flags, Counts]:
    """Return of each run ``(runs, pairs)`` whether its claim holds, is broken, and when.

    It holds where the lower bound is above half of the claimed gain, and is broken where the upper
    bound is below the claim by a factor of 1.05: another day may cost that much. What is no gain
    (up to 1.01, or a cost) holds where it is not worse by that factor.
    """
    enough, least = (claimed / 2 if claimed > LEAST else claimed - WORTH), claimed - WORTH
    holds, broken = np.zeros(len(logs), bool), np.zeros(len(logs), bool)
    after = np.zeros(len(logs), np.int64)
    for n in rule.looks(logs.shape[-1]):
        low, high = bounds(estimate(logs[..., :n], RATIO_FLOOR, clip), rule.alpha, rule)
        still = ~(holds | broken)
        broken = broken | still & (high < least)
        holds = holds | still & ~broken & (low > enough)
        after = np.where(still, n, after)
    return holds, broken, after
