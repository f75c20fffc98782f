"""Take nodes as blocks: what pairs of several machines say together.

A ratio is of two trials on one node, so how fast a node is falls out of it; what is left is by how
much a change gains *there*. As long as nodes show no difference in that, every pair is a value: it
lies as far from the mean of all as its node makes it, so what there is of a spread between nodes is
in the interval. Where they do show one (an analysis of variance, at `APART`), more pairs on the
same nodes say nothing more of others: then the nodes are the sample, a mean each, and few nodes
give a wide interval. Below `levels.FIRST` of them nothing is decided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.analysis.estimate import RATIO_FLOOR, Estimate, Values, estimate
from bench.analysis.intervals import Interval, as_interval, exponential
from bench.analysis.levels import Rule
from bench.analysis.objectives import Value
from bench.analysis.pairs import Pair

APART = 0.2
"""How rarely nodes that are alike are taken for different, at one look."""
Labels = NDArray[np.int64]
"""Of each pair: on which node, by number."""


def nodes_of(pairs: Sequence[Pair]) -> Labels | None:
    """Return on which node each pair was measured; None where that is one machine."""
    names = [candidate.node.name if candidate.node else "" for _, candidate in pairs]
    known = sorted({*names})
    return np.array([known.index(name) for name in names]) if len(known) > 1 else None


def by_nodes(values: Values, nodes: Labels | None, floor: float, clip: bool) -> Estimate:
    """Return the mean of values with its error, `nodes` being blocks of the last axis."""
    if nodes is None or len(found := np.unique(nodes)) < 2:
        return estimate(values, floor, clip)
    each = [estimate(np.where(nodes == one, values, np.nan), floor, clip) for one in found]
    counts, means, squares = (np.stack(parts, -1) for parts in zip(*map(_parts, each), strict=True))
    total, there = counts.sum(-1), (counts > 0).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (counts * means).sum(-1) / total
        within = squares.sum(-1)
        between = (counts * (means - mean[..., None]) ** 2).sum(-1)
        deviation = np.maximum(np.sqrt((within + between) / (total - 1)), floor)
        pooled = np.where(total > 1, deviation / np.sqrt(total), np.nan)
        differ = _differ(between, within, there, total)
    alone = estimate(np.where(counts > 0, means, np.nan), floor)
    return Estimate(
        np.where(differ, alone.mean, mean), np.where(differ, alone.error, pooled),
        np.where(differ, there, total), clipped=any(one.clipped for one in each), apart=differ,
    )  # fmt: skip


def _parts(one: Estimate) -> tuple[Values, Values, Values]:
    """Return a node's number of values, their mean, and their squared distance from it."""
    counts = np.asarray(one.known, float)
    squares = np.where(counts > 1, one.error**2 * counts * (counts - 1), 0.0)
    return counts, np.where(counts > 0, one.mean, 0.0), np.nan_to_num(squares)


def _differ(between: Values, within: Values, nodes: Values, total: Values) -> NDArray[np.bool_]:
    """Tell where nodes' means are further apart than their pairs explain."""
    from scipy.special import fdtrc

    above, below = nodes - 1.0, total - nodes
    testable = (above > 0) & (below > 0) & (within > 0)
    ratio = np.where(testable, (between / above) / (within / below), 0.0)
    return np.asarray(testable & (fdtrc(above, np.maximum(below, 1.0), ratio) < APART))


def ratio_of(pairs: Sequence[Pair], value: Value, rule: Rule, total: float) -> Interval | None:
    """Return the geometric mean of baseline / candidate, with bounds that hold at all looks.

    Of pairs in which both values are known; `total` is the error of each bound.
    """
    known = [(pair, b / c) for pair in pairs
             if (b := value(pair[0])) and (c := value(pair[1])) and b > 0 and c > 0]  # fmt: skip
    if not known:
        return None
    logs = np.array([math.log(ratio) for _, ratio in known])
    nodes = nodes_of([pair for pair, _ in known])
    return exponential(as_interval(by_nodes(logs, nodes, RATIO_FLOOR, clip=True), rule, total))
