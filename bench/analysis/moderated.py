"""Bound the mean of few values, by their spread steadied by that of others like them. Pure.

No error is promised of what is chosen by such bounds: only what is confirmed is called a win. An
arm's own pairs tell of their spread what they can; that of the others counts as `PRIOR` more.
Source: Smyth, Linear models and empirical Bayes methods, 2004 (the moderated t).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.analysis.estimate import Values

LEFT_SURE, CHOSEN_SURE = 0.9, 0.95
"""How sure the bounds are, one-sided: the upper one, by which an arm is left, and the lower one, by
which it is chosen."""
PRIOR = 4.0
"""Degrees of freedom that the spread of the others counts for, or as many as it has."""


class Bounds(NamedTuple):
    """What a mean is likely to lie between."""

    low: float
    middle: float
    high: float


UNKNOWN = Bounds(-math.inf, math.nan, math.inf)


class Spread(NamedTuple):
    """How far samples spread."""

    variances: tuple[float, ...] = ()
    """Each as a multiple of what is its median where it is 1."""
    freedom: int = 0
    """Degrees of freedom of all."""

    @classmethod
    def of(cls, samples: Iterable[Values]) -> Spread:
        """Return that of samples; one value has none."""
        from scipy.special import gammaincinv

        known = [sample for sample in samples if sample.size > 1]
        halves = [(sample.size - 1) / 2 for sample in known]
        middles = {half: float(gammaincinv(half, 0.5)) for half in {*halves}}
        variances = (
            _variance(sample) * half / middles[half]
            for sample, half in zip(known, halves, strict=True)
        )
        return cls(tuple(variances), sum(sample.size - 1 for sample in known))


def steadied(
    values: Values, floor: float, alike: Spread, count: int, equal: Sequence[Values] = ()
) -> Bounds:
    """Return the mean of the first values, with bounds by their spread and that of those alike.

    `equal` are samples of trials that differ by chance alone; a pair differs by two such trials.
    """
    from scipy.special import stdtrit

    known = first_known(values, count)
    if not known.size:
        return UNKNOWN
    own, freedom, middle = _variance(known), known.size - 1, float(known.mean())
    chance = Spread.of(math.sqrt(2) * sample for sample in equal)
    prior = min(PRIOR, alike.freedom + chance.freedom)
    if not prior:
        return UNKNOWN._replace(middle=middle)
    usual = median((*alike.variances, *chance.variances))
    spread = (prior * usual + freedom * own) / (prior + freedom)
    error = math.sqrt(max(spread, floor**2) / known.size)
    below, above = (error * float(stdtrit(prior + freedom, s)) for s in (CHOSEN_SURE, LEFT_SURE))
    return Bounds(middle - below, middle, middle + above)


def _variance(known: Values) -> float:
    return float(known.var(ddof=1)) if known.size > 1 else 0.0


def first_known(values: Values, count: int) -> Values:
    """Return what is known of the first values."""
    first = values[:count]
    return np.asarray(first[np.isfinite(first)])
