"""The cheapest honest rival: logistic regression on random convolutions (ROCKET's features).

Of every random kernel the largest value and the share of positive ones; Dempster et al., 2020.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from baselines.ecg_cnn import data
from baselines.ecg_cnn.data import Part
from baselines.ecg_cnn.settings import ECGCNNSettings
from bench.metrics import macro_auroc

KERNELS, WIDTH, LEADS = 64, 9, 12
DILATIONS = (1, 4, 16, 64)
AT_ONCE = 8


def fit(settings: ECGCNNSettings) -> tuple[float, float]:
    """Return the macro AUROC on the test part, and the seconds of features and fit."""
    from sklearn.linear_model import LogisticRegression

    content = data.load(settings)
    kernels, biases = _drawn()
    begun = time.perf_counter()
    features = _features(content.train, kernels, biases)
    middle, spread = features.mean(0), features.std(0) + 1e-6
    inputs, labels = ((features - middle) / spread).numpy(), content.train.labels.numpy()
    known = [c for c in range(labels.shape[1]) if 0 < labels[:, c].sum() < len(labels)]
    models = {c: LogisticRegression(C=0.01, max_iter=500).fit(inputs, labels[:, c]) for c in known}
    seconds = time.perf_counter() - begun
    tested = ((_features(content.test, kernels, biases) - middle) / spread).numpy()
    scores = np.zeros((len(tested), labels.shape[1]), np.float32)
    for c, model in models.items():
        scores[:, c] = model.decision_function(tested)
    return macro_auroc(scores, content.test.labels.numpy()), seconds


def _drawn() -> tuple[Tensor, Tensor]:
    """Return kernels of mean 0 ``(KERNELS, LEADS, WIDTH)`` and biases."""
    random = torch.Generator().manual_seed(0)
    kernels = torch.randn(KERNELS, LEADS, WIDTH, generator=random)
    biases = torch.rand(KERNELS, generator=random) * 2 - 1
    return kernels - kernels.mean(2, keepdim=True), biases


@torch.no_grad()
def _features(part: Part, kernels: Tensor, biases: Tensor) -> Tensor:
    """Return ``(N, KERNELS * 2 * dilations)``."""
    rows = torch.split(torch.arange(len(part)), AT_ONCE)
    return torch.cat([_of(part.read(chosen), kernels, biases) for chosen in rows])


def _of(signals: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    found = []
    for dilation in DILATIONS:
        out = functional.conv1d(signals, kernels, biases, dilation=dilation)
        found += [out.amax(2), (out > 0).float().mean(2)]
    return torch.cat(found, 1)
