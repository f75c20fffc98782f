"""Find where a series of runs changed: a segmentation by ruptures, its penalty set by shuffling.

An optimal segmentation into stretches of equal mean (PELT, Killick et al. 2012, in ruptures) needs
a penalty for each change. Here it is what a share `alpha` of the shuffled series would exceed, in
units of the noise between neighbours (von Neumann 1941): so of series in which nothing changed, at
most about that share is given a change, whatever their noise is distributed like.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST = 8
"""Values below which no change can be told from chance."""
SHORTEST = 2
"""Values of a stretch: one that stands alone is no change."""
IN_TAIL = 20
"""So many shuffled series at least are beyond the penalty."""
MOST_SHUFFLED = 4_000_000
"""Values of all shuffled series together."""
AT_ONCE = 1_000
SINGLE = 0.7
"""Of the alarms, those that one split alone gives; the others are two at once (by simulation)."""
Values = NDArray[np.float64]


def change_points(values: Sequence[float], alpha: float = 0.05) -> tuple[int, ...]:
    """Return the places of the first values after each change, in order.

    `values` are in order of time, and of one kind; of ratios their logarithms.
    """
    found = np.asarray(values, float)
    if len(found) < LEAST or not np.ptp(found):
        return ()
    from ruptures import Pelt

    even = (found - found.mean()) / math.sqrt(_noise(found[None])[0])
    search = Pelt(model="l2", min_size=SHORTEST, jump=1).fit(even[:, None])
    *places, _ = search.predict(pen=_penalty(even, alpha))
    return tuple(int(place) for place in places)


def _penalty(values: Values, alpha: float) -> float:
    """Return what the best split of a shuffled series gains, or two do, in a share `alpha`."""
    single = SINGLE * alpha
    shuffles = min(MOST_SHUFFLED // len(values), math.ceil(IN_TAIL / single))
    random = np.random.default_rng(0)
    gains = []
    for begin in range(0, shuffles, AT_ONCE):
        rows = np.tile(values, (min(AT_ONCE, shuffles - begin), 1))
        random.permuted(rows, axis=1, out=rows)
        gains.append(_best_gain(rows) / _noise(rows))
    beyond = max(1, math.floor(single * (shuffles + 1)))
    penalty = np.sort(np.concatenate(gains))[-beyond]
    return float(penalty) * (1 + 1e-9)


def _noise(rows: Values) -> Values:
    """Return the variance of each row's noise by the differences of neighbours: no step in the
    series is large enough to hide itself."""
    return np.asarray(np.square(np.diff(rows, axis=1)).mean(1) / 2)


def _best_gain(rows: Values) -> Values:
    """Return by how much the best split into two stretches lowers each row's squares."""
    length = rows.shape[1]
    centred = rows - rows.mean(1, keepdims=True)
    first = np.arange(SHORTEST, length - SHORTEST + 1)
    sums = np.cumsum(centred, axis=1)[:, first - 1]
    return np.asarray((np.square(sums) * (length / (first * (length - first)))).max(1))
