"""Macro AUROC: the mean over classes of the chance that a positive is ranked above a negative."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float32]


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
