"""What single test items add to the verdict on a metric: few pairs tell, where the items do.

Whether two models answer an item differently is known of every item, so how much the difference of
their metrics is worth is known of one pair already: all on these test items, not on others.

Sources: Tango, Equivalence test and confidence interval for the difference in proportions for the
paired-sample design, Statistics in Medicine 1998; Smyth, Linear models and empirical Bayes methods
(moderated t), 2004.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from bench.analysis.estimate import Estimate, Values, estimate

PRIOR = 6
"""Degrees of freedom that the spread between items is worth beside that between seeds."""
SEEDS = 0.002
"""What seeds are taken to add to that, beforehand: a standard deviation, of an item's reach."""
FEWEST, LARGEST = 100, 1000
"""Between so many items the variance over seeds is moderated. Of fewer the items say too little; of
more it is the seeds that differ, and pairs soon tell."""
Way = Literal["converted", "retrained"]
"""Whether a pair's models are of the same training, or of two."""
JudgedBy = Literal["seeds", "seeds and items", "items"]
"""By what a metric's difference is known: how it varies over seeds, over test items, or both."""


class Items(NamedTuple):
    """The test items of an arm's pairs, in units of the gain that the margin is held against."""

    size: int
    """How many they are."""
    squares: Values
    """Mean squared change of an item's score, pair by pair along the last axis; NaN: unknown."""
    way: Way
    reach: float = 1.0
    """The largest change that an item's score can show."""
    binary: bool = True
    """Whether an item is right or wrong."""


def by_items(differences: Values, floor: float, margin: float, items: Items) -> Estimate:
    """Return the mean difference of the metric with the error that the items tell."""
    if items.way == "converted":
        return _pooled(differences, floor, margin, items)
    return _moderated(differences, floor, items)


def _moderated(differences: Values, floor: float, items: Items) -> Estimate:
    """Return the mean over seeds; its variance is moderated by what the items alone would give.

    With q, the mean squared change of an item, q / N is the variance of a difference if items
    changed by themselves; with what seeds add it counts as `PRIOR` degrees of freedom.
    """
    plain = estimate(differences, floor)
    count = plain.known
    known = np.isfinite(differences)
    alone = np.where(known, items.squares - differences**2, 0.0).sum(-1) / items.size
    alone = alone / np.maximum(count, 1) + (SEEDS * items.reach) ** 2
    apart = np.where(known, (differences - plain.mean[..., None]) ** 2, 0.0).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (PRIOR * alone + apart) / (PRIOR + count - 1)
        error = np.sqrt(np.maximum(variance, floor**2) / count)
    return plain._replace(error=np.where(count > 1, error, np.inf), more=PRIOR)


def _pooled(differences: Values, floor: float, margin: float, items: Items) -> Estimate:
    """Return the mean over all items of all seeds, with its error where the margin is lost.

    Of right and wrong Tango's: the score test of a loss of just the margin. Of other scores the
    larger of the variance seen, and that of a loss of the margin in as few items as can hold it.
    """
    known = np.isfinite(differences)
    count = known.sum(-1)
    pooled = np.maximum(count * items.size, 1)
    mean = np.where(known, differences, 0.0).sum(-1) / np.maximum(count, 1)
    square = np.where(known, items.squares, 0.0).sum(-1) / np.maximum(count, 1)
    loss = min(max(margin, 0.0), items.reach)
    if items.binary:
        variance = 2 * _won(mean, square, loss) + loss * (1 - loss)
    else:
        variance = np.maximum(square - mean**2, loss * (items.reach - loss))
    least = floor / np.sqrt(np.maximum(count, 1))
    error = np.maximum(np.sqrt(variance / pooled), least)
    empty = count == 0
    return Estimate(
        np.where(empty, np.nan, mean), np.where(empty, np.inf, error), count, False,
        more=items.size - 1,
    )  # fmt: skip


def _won(mean: Values, square: Values, loss: float) -> Values:
    """Return the likeliest share of items won, if `loss` more than these were lost (Tango)."""
    won, lost = (square + mean) / 2, (square - mean) / 2
    linear = (2 + won - lost) * loss - won - lost
    root = np.sqrt(linear**2 + 8 * won * loss * (1 - loss))
    return np.asarray((root - linear) / 4)
