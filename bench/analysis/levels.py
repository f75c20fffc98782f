"""How sure each look at a growing number of pairs must be, so that all looks together err rarely.

The levels are flat over the looks (Pocock), for Student's t of paired values. They were computed by
simulation (8 million Gaussian paths) and hold for looks after 4, 5, … 30 pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.records.header import Header
from bench.records.measurement import Purpose

FIRST, MOST = 4, 30
"""Pairs at the first look, and at the last."""
ALPHA = 0.05
"""The error that a whole run is allowed in each of its statements."""
SCREENED = 2
"""Rounds that a budget is to see an arm through that is only screened."""
LEAST_PAIRS = 3
"""Two values are often equal by chance: fewer than this never decide."""
CLIPPED_SHARE = 0.85
"""Of a level, where outliers were clipped: clipping makes t a little too large."""
TOTALS = (0.05, 0.025, 0.0125, 0.005, 0.0025, 0.00125, 0.000833, 0.0005, 0.00025, 0.000125)
NOMINAL = (
    0.00803, 0.00348, 0.00154, 0.000543, 0.000251, 0.000116, 0.0000744, 0.0000425, 0.0000206,
    0.0000102,
)  # fmt: skip
"""One-sided, of each look, for these total errors over looks at 4 to 30 pairs."""
BEYOND = 1.15
"""The exponent by which levels go on to fall below the last total."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When pairs are looked at, and among how many arms the error is shared out.

    It is fixed before the first trial. The same number in `first` and `most` is the fixed test of
    so many pairs, which says nothing before.
    """

    first: int = FIRST
    most: int = MOST
    alpha: float = ALPHA
    arms: int = 1

    @property
    def least(self) -> int:
        """Return how many values an objective needs to be decided at all."""
        return LEAST_PAIRS if self.first == self.most else FIRST

    def of_gain(self, objectives: int) -> float:
        """Return the error allowed in calling one arm better in one of its `objectives`."""
        return self.alpha / (max(1, objectives) * max(1, self.arms))

    def looks(self, pairs: int) -> range:
        """Return the numbers of pairs at which the first `pairs` of them are looked at."""
        return range(max(self.first, 1), min(self.most, pairs) + 1)


def rule_of(header: Header, stage: Purpose = "test") -> Rule:
    """Return the rule that a run fixed before the first trial of a stage."""
    arms = header.raced.get(stage, len(header.arms))
    if stage == "test" and header.screening is not None:
        first, most = header.screening
        return Rule(max(SCREENED, first), most, header.alpha, max(1, arms))
    first = header.repeats if header.first is None else header.first
    if first != header.repeats and (first, header.repeats) != (FIRST, MOST):
        raise BenchError(
            f"{header.run} is looked at after {first} to {header.repeats} pairs; this bench knows "
            f"the levels of {FIRST} to {MOST}"
        )
    return Rule(first, header.repeats, header.alpha, max(1, arms))


def looks_of(header: Header, rule: Rule, stage: Purpose = "test") -> tuple[int, int]:
    """Return after how many pairs arms of a stage are looked at first, and last.

    A screening looks before the rounds that a budget is to see its arms through.
    """
    screening = header.screening if stage == "test" else None
    return screening or (rule.first, rule.most)


def nominal(total: float, rule: Rule) -> float:
    """Return the one-sided level of every look with which all of them together err in `total`."""
    if rule.first == rule.most:
        return total
    if total <= TOTALS[-1]:
        return NOMINAL[-1] * float((total / TOTALS[-1]) ** BEYOND)
    logs = np.log(np.array([TOTALS, NOMINAL])[:, ::-1])
    return math.exp(float(np.interp(math.log(total), *logs)))


def boundaries(
    counts: NDArray[np.int64], total: float, rule: Rule, clipped: bool = False, more: int = 0
) -> NDArray[np.float64]:
    """Return, for numbers of values, how large t must be; inf where they are too few."""
    distinct, places = np.unique(counts, return_inverse=True)
    found = np.array([boundary(int(count), total, rule, clipped, more) for count in distinct])
    return found[places.reshape(counts.shape)]


@lru_cache(4096)
def boundary(values: int, total: float, rule: Rule, clipped: bool = False, more: int = 0) -> float:
    """Return how large t of so many values must be; inf where they are too few.

    `more` degrees of freedom are known of their spread beside them.
    """
    from scipy.special import stdtrit

    if not values or values + more < rule.least:
        return math.inf
    level = nominal(total, rule) * (CLIPPED_SHARE if clipped else 1.0)
    return float(stdtrit(min(values, rule.most) - 1 + more, 1 - level))
