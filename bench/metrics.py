"""Compute metrics of multi-label classifiers: AUROC of scores, recall and F1 of decisions.

A metric that is a mean over the test items may keep what each of these scored (`ItemMean`).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Floats64 = NDArray[np.float64]


class ItemMean(float):
    """A metric that is the mean of what each test item scored, and keeps these.

    An evaluation returns it in a number's place, and few pairs of trials judge the metric then:
    ``{"accuracy": ItemMean(right, order=labels)}``.
    """

    scores: Floats64
    order: Any

    def __new__(cls, scores: Any, order: Any, value: float | None = None) -> Self:
        """Return the mean of scores ``(N,)``, an array or a tensor; or `value`, where it is known.

        `order` ``(N, ...)`` is what tells items apart, such as their labels: only trials that have
        the same are compared item by item.
        """
        if hasattr(scores, "detach"):
            scores = scores.detach().double().cpu()
        each = np.asarray(scores, np.float64)
        made = super().__new__(cls, each.mean() if value is None else value)
        made.scores, made.order = each, order
        return made

    def __reduce__(self) -> tuple[type[ItemMean], tuple[Floats64, Any, float]]:
        """Be copied whole: a float's own way leaves the scores out."""
        return ItemMean, (self.scores, self.order, float(self))


def auroc(scores: Floats, labels: Floats) -> float | None:
    """Return the area under the ROC curve of one class, ties counting half; None if one-sided."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    ranks = _ranks(scores)[labels > 0].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def _ranks(scores: Floats) -> Floats64:
    """Return ranks from 1, equal scores sharing their mean one; NaN where any score is."""
    if np.isnan(scores).any():
        return np.full(len(scores), np.nan)
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means: Floats64 = np.cumsum(counts) - (counts - 1) / 2
    return means[place]


def macro_auroc(scores: Floats, labels: Floats) -> float:
    """Return the mean of the classes ``(N, classes)`` that have positives and negatives."""
    each = [auroc(scores[:, k], labels[:, k]) for k in range(labels.shape[1])]
    known = [value for value in each if value is not None]
    return float(np.mean(known)) if known else float("nan")


def recalls(scores: Floats, labels: Floats, threshold: float = 0.0) -> list[float | None]:
    """Return each class's recall: the share of positives above `threshold`; None without any."""
    hits = ((scores > threshold) * labels).sum(0)
    return [float(h / n) if n else None for h, n in zip(hits, labels.sum(0), strict=True)]


def macro_f1(scores: Floats, labels: Floats, threshold: float = 0.0) -> float:
    """Return the mean F1 of the classes that have positives; NaN where none has."""
    found = scores > threshold
    hits, both = (found * labels).sum(0), found.sum(0) + labels.sum(0)
    there = labels.sum(0) > 0
    return float(np.mean(2 * hits[there] / both[there])) if there.any() else float("nan")
