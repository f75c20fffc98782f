"""Attribute the gain of a combination to its techniques: Shapley values of logarithms of ratios.

The gain of each subset is measured against the same baseline, round by round. A technique's
contribution is what it adds, averaged over all orders in which the combination could have been
built; contributions add up to the gain of the whole. Source: Shapley, A value for n-person games
(1953).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from random import Random

from bench.analysis.intervals import Interval, mean_interval
from bench.analysis.objectives import Objective, Value, basis_of
from bench.records.measurement import BASELINE, Measurement
from bench.records.schema import Record

COMPLETE = 4
"""Up to so many techniques every subset is measured; above, those of some orders."""
ORDERS = 4
"""From how many orders contributions are taken then: of n techniques no more than 4 n - 3 subsets
are measured, of 2^n - 1."""
LEVEL = 0.95

Subset = frozenset[str]
Gains = Mapping[Subset, float]
"""Of one round: log(baseline / candidate) of each subset that was measured; of none it is 0."""


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
    """In how many all of these subsets were measured."""
    subsets: int
    orders: int
    """Over so many orders contributions are averaged."""
    contributions: tuple[Contribution, ...]
    interactions: tuple[Interaction, ...]


def attribution(
    trials: Sequence[Measurement], objective: Objective, seed: int = 0
) -> Attribution | None:
    """Return the contributions to the largest combination of attributing trials, if there is one.

    `seed` is that of the orders whose subsets were measured.
    """
    if not trials:
        return None
    whole = largest(trials)
    orders = orders_of(techniques_of(whole), seed)
    rounds = gains_by_round(trials, objective.value(basis_of(whole)))
    needed = subsets_of(orders)
    complete = [gains for gains in rounds if all(subset in gains for subset in needed)]
    if not complete:
        return None
    return Attribution(
        arm=whole.arm,
        objective=objective.name,
        rounds=len(complete),
        subsets=len(needed),
        orders=len(orders),
        contributions=tuple(contributions(orders, complete)),
        interactions=tuple(interactions(complete)),
    )


def largest(trials: Sequence[Measurement]) -> Measurement:
    """Return a trial of the combination of the most techniques."""
    return max(trials, key=lambda trial: len(techniques_of(trial)))


def techniques_of(trial: Measurement) -> tuple[str, ...]:
    """Return the techniques of a trial's recipe, in order."""
    return tuple(use["name"] for use in trial.recipe["techniques"])


def gains_by_round(trials: Sequence[Measurement], value: Value) -> list[Gains]:
    """Return log(baseline / candidate) of each subset of techniques, round by round.

    A round is what has one seed; each trial is compared with the baseline of its block.
    """
    baselines = {trial.pair: trial for trial in trials if trial.ok and trial.arm == BASELINE}
    found: dict[int, dict[Subset, float]] = {}
    for trial in trials:
        if not trial.ok or trial.arm == BASELINE or trial.pair not in baselines:
            continue
        before, after = value(baselines[trial.pair]), value(trial)
        if before is not None and after is not None and before > 0 and after > 0:
            gains = found.setdefault(trial.seed, {})
            gains[frozenset(techniques_of(trial))] = math.log(before / after)
    return list(found.values())


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
    orders: Sequence[Sequence[str]], rounds: Sequence[Gains], level: float = LEVEL
) -> list[Contribution]:
    """Return each technique's contribution, its interval over rounds; the largest first.

    A round that misses a subset of the orders is left out.
    """
    needed = subsets_of(orders)
    whole = [gains for gains in rounds if all(subset in gains for subset in needed)]
    techniques = sorted({technique for order in orders for technique in order})
    shares = [_shapley(orders, gains) for gains in whole]
    found = [
        Contribution(technique, interval)
        for technique in techniques
        if (interval := _ratio([share[technique] for share in shares], level)) is not None
    ]
    return sorted(found, key=lambda one: -one.ratio.middle)


def interactions(rounds: Sequence[Gains], level: float = LEVEL) -> list[Interaction]:
    """Return what each pair of techniques that was measured alone and together gains by it."""
    techniques = sorted({t for gains in rounds for subset in gains for t in subset})
    found = []
    for one, other in combinations(techniques, 2):
        alone, second, both = frozenset({one}), frozenset({other}), frozenset({one, other})
        extra = [
            g[both] - g[alone] - g[second] for g in rounds if {alone, second, both} <= g.keys()
        ]
        if (interval := _ratio(extra, level)) is not None:
            found.append(Interaction((one, other), interval))
    return found


def _shapley(orders: Sequence[Sequence[str]], gains: Gains) -> dict[str, float]:
    added: dict[str, list[float]] = {}
    for order in orders:
        before = 0.0
        for number, technique in enumerate(order, 1):
            after = gains[frozenset(order[:number])]
            added.setdefault(technique, []).append(after - before)
            before = after
    return {technique: math.fsum(parts) / len(parts) for technique, parts in added.items()}


def _ratio(logs: Sequence[float], level: float) -> Interval | None:
    interval = mean_interval(logs, level)
    if interval is None:
        return None
    low, middle, high = (None if value is None else math.exp(value) for value in interval)
    assert middle is not None
    return Interval(low, middle, high)
