"""Compute metrics of multi-label classifiers: AUROC of scores, recall and F1 of decisions.

An evaluation may say beside a metric what each test item contributed to it (`Scored`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float32]


class Scored(dict[str, float]):
    """Metrics by name, and of those that are means over the test items what each item scored.

    An evaluation returns it in a dict's place, and few pairs of trials judge the metric then:
    ``Scored({"accuracy": 0.75}, {"accuracy": right}, order=labels)``.
    """

    def __init__(self, metrics: Mapping[str, float], scores: Mapping[str, Any], order: Any) -> None:
        """Keep one score an item ``(N,)`` by the metric's name, arrays or tensors.

        `order` ``(N, ...)`` is what tells items apart, such as their labels: only trials that have
        the same are compared item by item.
        """
        super().__init__(metrics)
        self.scores, self.order = scores, order


def auroc(scores: Floats, labels: Floats) -> float | None:
    """Return the area under the ROC curve of one class, ties counting half; None if one-sided."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    ranks = rankdata(scores)[labels > 0].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


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
