"""Attribute the gain of a combination to its techniques: Shapley values of logarithms of ratios.

The gain of each subset is measured against the same baseline. A technique's contribution is what
it adds, averaged over all orders in which the combination could have been built; contributions add
up to the gain of the whole. Source: Shapley, A value for n-person games (1953).

A contribution is a weighted sum of mean logarithms, so each subset's own pairs are enough, however
many it has: their spread, taken over all subsets together, gives the interval.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from random import Random
from statistics import fmean

from bench.analysis.estimate import RATIO_FLOOR
from bench.analysis.intervals import LARGEST_LOG, Interval, t_quantile
from bench.analysis.objectives import Objective, basis_of
from bench.analysis.sequential import WORTH_FINDING
from bench.analysis.subsets import Gained, Subset, gained_in, largest, techniques_of
from bench.records.measurement import Measurement
from bench.records.schema import Record

COMPLETE = 4
"""Up to so many techniques every subset is measured; above, those of some orders."""
ORDERS = 4
"""From how many orders contributions are taken then: of n techniques no more than 4 n - 3 subsets
are measured, of 2^n - 1."""
LEVEL = 0.95
FREEDOM = 6
"""Degrees of freedom of the pairs' spread, before any share counts as told: fewer look by chance as
if they hardly spread."""

Weights = Mapping[Subset, float]
"""How much the mean gain of each subset counts in what is looked for."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one technique adds to a combination, as a ratio: above 1 it helps."""

    technique: str
    ratio: Interval


@dataclass(frozen=True, slots=True)
class Interaction:
    """What two techniques gain together beyond what each adds alone: above 1 they help."""

    techniques: tuple[str, str]
    ratio: Interval


class Attribution(Record):
    """What each technique of a combination adds to its gain in one objective."""

    arm: str
    objective: str
    rounds: int
    """Pairs of the subset that has the fewest."""
    subsets: int
    orders: int
    """Over so many orders contributions are averaged."""
    contributions: tuple[Contribution, ...]
    interactions: tuple[Interaction, ...]


def attribution(
    trials: Sequence[Measurement], objective: Objective, seed: int = 0
) -> Attribution | None:
    """Return the contributions to the largest combination of these trials, if all of it is known.

    `seed` is that of the orders whose subsets were measured.
    """
    if not trials or len(techniques_of(whole := largest(trials))) < 2:
        return None
    orders = orders_of(techniques_of(whole), seed)
    known = gained_in(trials, objective.log_ratio(basis_of(whole)))
    needed = subsets_of(orders)
    if not (rounds := fewest(known, needed)):
        return None
    return Attribution(
        arm=whole.arm,
        objective=objective.name,
        rounds=rounds,
        subsets=len(needed),
        orders=len(orders),
        contributions=tuple(contributions(orders, known)),
        interactions=tuple(interactions(known)),
    )


def fewest(known: Sequence[Gained], subsets: Sequence[Subset]) -> int:
    """Return the pairs of the subset that has the fewest."""
    counts = Counter(one.subset for one in known)
    return min((counts[subset] for subset in subsets), default=0)


def orders_of(techniques: Sequence[str], seed: int = 0) -> list[tuple[str, ...]]:
    """Return the orders of building a combination that contributions are averaged over.

    All of them up to `COMPLETE` techniques; above, a random one, the same turned by half its
    length, and the reverse of both: every technique comes early, late and in the midst alike, which
    cancels much of the error of taking so few.
    """
    if len(techniques) <= COMPLETE:
        return list(permutations(techniques))
    order = list(techniques)
    Random(seed).shuffle(order)
    half = len(order) // 2
    turned = [*order[half:], *order[:half]]
    return [tuple(one) for each in (order, turned) for one in (each, reversed(each))]


def subsets_of(orders: Sequence[Sequence[str]]) -> list[Subset]:
    """Return the subsets that must be measured for these orders, the smallest first."""
    found = {frozenset(order[:n]) for order in orders for n in range(1, len(order) + 1)}
    return sorted(found, key=lambda subset: (len(subset), sorted(subset)))


def contributions(
    orders: Sequence[Sequence[str]], known: Sequence[Gained], level: float = LEVEL
) -> list[Contribution]:
    """Return each technique's contribution with its interval; the largest first."""
    techniques = sorted({technique for order in orders for technique in order})
    found = [
        Contribution(technique, ratio)
        for technique in techniques
        if (ratio := _ratio(_shares(orders, technique), known, level)) is not None
    ]
    return sorted(found, key=lambda one: -one.ratio.middle)


def interactions(known: Sequence[Gained], level: float = LEVEL) -> list[Interaction]:
    """Return what each pair of techniques that was measured alone and together gains by it."""
    techniques = sorted({technique for one in known for technique in one.subset})
    found = []
    for one, other in combinations(techniques, 2):
        extra = {frozenset({one, other}): 1.0, frozenset({one}): -1.0, frozenset({other}): -1.0}
        if (ratio := _ratio(extra, known, level)) is not None:
            found.append(Interaction((one, other), ratio))
    return found


def untold(found: Attribution) -> list[str]:
    """Return the techniques that may help or not, and may gain as much as is worth finding."""
    return [one.technique for one in found.contributions if not _is_told(one.ratio)]


def _is_told(ratio: Interval) -> bool:
    if ratio.low is None or ratio.high is None:
        return False
    return ratio.low > 1 or ratio.high < WORTH_FINDING


def passengers(found: Attribution) -> list[Contribution]:
    """Return the contributions that are not shown to help."""
    return [one for one in found.contributions if one.ratio.low is not None and one.ratio.low <= 1]


def lacking(
    orders: Sequence[Sequence[str]], counts: Mapping[Subset, int], found: Attribution | None,
    most: int,
) -> list[Subset]:  # fmt: skip
    """Return the subsets to measure next, by the pairs known of each; none: all is told.

    Those without any come first. Then at most so many of which one pair more narrows the shares of
    techniques that are open: of all, until the pairs' spread is known.
    """
    subsets = subsets_of(orders)
    missing = [subset for subset in subsets if not counts.get(subset)]
    if found is None or missing:
        return missing
    narrower: dict[Subset, float] = defaultdict(float)
    known = sum(counts[subset] - 1 for subset in subsets)
    techniques = untold(found) if known >= FREEDOM else sorted(orders[0])
    for technique in techniques:
        for subset, share in _shares(orders, technique).items():
            less = share**2 / (counts[subset] * (counts[subset] + 1))
            narrower[subset] = max(narrower[subset], less)
    return sorted(narrower, key=lambda one: (-narrower[one], len(one), sorted(one)))[:most]


def _shares(orders: Sequence[Sequence[str]], technique: str) -> Weights:
    """Return how much each subset's gain counts in a technique's: those without it below 0."""
    found: dict[Subset, float] = defaultdict(float)
    for order in orders:
        place = order.index(technique)
        found[frozenset(order[: place + 1])] += 1 / len(orders)
        found[frozenset(order[:place])] -= 1 / len(orders)
    found.pop(frozenset(), None)  # nothing gains nothing
    return found


def _ratio(weights: Weights, known: Sequence[Gained], level: float) -> Interval | None:
    """Return a weighted sum of mean gains as a ratio; None where one of them is unknown.

    Its error counts what a trial of the baseline does to all pairs that share it.
    """
    counts = Counter(one.subset for one in known)
    if not fewest(known, [*weights]):
        return None
    each = [(one, weights.get(one.subset, 0.0) / counts[one.subset]) for one in known]
    middle = math.fsum(share * one.log for one, share in each)
    deviation, degrees = _spread(known)
    if not degrees:
        return Interval(None, math.exp(middle), None)
    beside: dict[int, float] = defaultdict(float)
    for one, share in each:
        beside[one.pair] += share
    squares = [share**2 for share in (*(share for _, share in each), *beside.values())]
    half = t_quantile((1 + level) / 2, degrees) * deviation * math.sqrt(math.fsum(squares))
    low, high = math.exp(middle - half), math.exp(min(middle + half, LARGEST_LOG))
    return Interval(low, math.exp(middle), high)


def _spread(known: Sequence[Gained]) -> tuple[float, int]:
    """Return the standard deviation of one trial, by the pairs of all subsets, and its degrees."""
    logs: dict[Subset, list[float]] = defaultdict(list)
    for one in known:
        logs[one.subset].append(one.log)
    squares = math.fsum((log - fmean(own)) ** 2 for own in logs.values() for log in own)
    degrees = len(known) - len(logs)
    of_pair = math.sqrt(squares / degrees) if degrees else 0.0
    return max(of_pair, RATIO_FLOOR) / math.sqrt(2), degrees
