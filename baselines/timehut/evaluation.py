"""Judging a representation: max-pool it over time, classify it with an SVM.

scikit-learn takes a second to import, so only what fits does; trials have it from the fork server.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.timehut.data import Labels
from bench.metrics import ItemMean

if TYPE_CHECKING:
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

STEPS_AT_ONCE = 1 << 15
"""Time steps encoded in one go, which bounds the memory of an evaluation (40 MiB at width 320)."""
SMALL = 50
FOLDS = 5
PENALTIES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4, math.inf]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch to evaluation without gradients; give every module its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def represent(model: nn.Module, x: Tensor) -> NDArray[np.float32]:
    """Return the pooled representation ``(N, output)`` of series ``(N, T, C)``."""
    rows = max(1, STEPS_AT_ONCE // x.shape[1])
    with evaluating(model):
        pooled = [model(part).amax(dim=1).float().cpu() for part in torch.split(x, rows)]
    array: NDArray[np.float32] = torch.cat(pooled).numpy()
    return array


def classifier(labels: Labels) -> SVC | GridSearchCV:
    """Return the SVM of the protocol: separable for few series, else C by cross-validation."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    svm = SVC(C=math.inf, gamma="scale")
    if len(labels) < SMALL or np.bincount(labels).min() < FOLDS:
        return svm
    return GridSearchCV(svm, {"C": PENALTIES}, cv=FOLDS)


def metrics(
    train: NDArray[np.float32],
    train_labels: Labels,
    test: NDArray[np.float32],
    test_labels: Labels,
) -> dict[str, float]:
    """Fit on the training part; return accuracy, weighted f1, macro auprc of the test part."""
    from sklearn.metrics import accuracy_score, f1_score

    fitted = classifier(train_labels).fit(train, train_labels)
    guessed = fitted.predict(test)
    accuracy = float(accuracy_score(test_labels, guessed))
    return {
        "accuracy": ItemMean(guessed == test_labels, test_labels, accuracy),
        "f1": float(f1_score(test_labels, guessed, average="weighted", zero_division=0)),
        "auprc": _auprc(fitted.decision_function(test), test_labels),
    }


def _auprc(scores: NDArray[np.float64], labels: Labels) -> float:
    """Average the area under the precision-recall curve over the classes that occur."""
    from sklearn.metrics import average_precision_score

    if scores.ndim == 1:
        return float(average_precision_score(labels == 1, scores)) if 1 in labels else 0.0
    areas = [average_precision_score(labels == label, scores[:, label]) for label in set(labels)]
    return float(np.mean(areas))
