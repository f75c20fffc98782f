"""The classifier on representations as a module of tensors: what scikit-learn fitted, in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC


def tensors_of(fitted: SVC | GridSearchCV) -> dict[str, Tensor]:
    """Return an SVM with a radial kernel as tensors.

    Each pair of classes has a row of weights of all support vectors; scikit-learn keeps only those
    of the two classes, and of two classes alone with the sign turned round.
    """
    svm: SVC = getattr(fitted, "best_estimator_", fitted)
    classes = len(svm.classes_)
    ends = np.cumsum([0, *svm.n_support_])
    sign = -1.0 if classes == 2 else 1.0
    rows = []
    for one in range(classes):
        for other in range(one + 1, classes):
            row = np.zeros(len(svm.support_vectors_))
            for own, against in ((one, other - 1), (other, one)):
                part = slice(ends[own], ends[own + 1])
                row[part] = sign * svm.dual_coef_[against, part]
            rows.append(row)
    return {
        "support": torch.tensor(svm.support_vectors_, dtype=torch.float32),
        "weights": torch.tensor(np.array(rows), dtype=torch.float32),
        "shift": torch.tensor(sign * svm.intercept_, dtype=torch.float32),
        "gamma": torch.tensor(svm._gamma, dtype=torch.float32),
        "classes": torch.tensor(classes),
    }


class Classified(nn.Module):
    """Series ``(B, T, C)`` to scores of classes ``(B, K)``.

    A score is how many of the other classes it wins against, and less than a third of a point of
    how clearly, as scikit-learn's ``decision_function``; of two classes it is the margin, one with
    each sign.
    """

    support: Tensor
    weights: Tensor
    shift: Tensor
    gamma: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, encoder: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.encoder = encoder
        for name in ("support", "weights", "shift", "gamma"):
            self.register_buffer(name, tensors[name])
        classes = int(tensors["classes"])
        pairs = [(a, b) for a in range(classes) for b in range(a + 1, classes)]
        ones = torch.eye(classes)
        self.register_buffer("first", torch.stack([ones[a] for a, _ in pairs]))
        self.register_buffer("second", torch.stack([ones[b] for _, b in pairs]))

    def forward(self, series: Tensor) -> Tensor:
        """Return the scores."""
        found = self.encoder(series).amax(dim=1)
        far = (found[:, None] - self.support[None]).square().sum(2)
        margins = (-self.gamma * far).exp() @ self.weights.T + self.shift
        if self.first.shape[1] == 2:
            return torch.cat([margins, -margins], 1)
        won = (margins >= 0).to(margins.dtype)
        votes = won @ self.first + (1 - won) @ self.second
        clear = margins @ self.first - margins @ self.second
        scores: Tensor = votes + clear / (3 * (clear.abs() + 1))
        return scores
