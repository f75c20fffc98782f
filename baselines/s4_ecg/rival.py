"""The cheapest honest rival: logistic regression on the features of a random encoder."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from baselines.s4_ecg import data
from baselines.s4_ecg.network import Encoder
from baselines.s4_ecg.settings import S4ECGSettings
from bench.metrics import macro_auroc
from bench.model.freezing import freeze

AT_ONCE = 32


def fit(settings: S4ECGSettings) -> tuple[float, float]:
    """Return the macro AUROC on the test part, and the seconds of features and fit."""
    from sklearn.linear_model import LogisticRegression

    content = data.load(settings)
    torch.manual_seed(0)
    sizes = settings.layers, settings.residual, settings.skip
    leads, length = content.train.signals.shape[1:]
    encoder = Encoder(leads, length, *sizes, settings.kernel)
    freeze(encoder)  # its kernels are computed once
    begun = time.perf_counter()
    features = _features(encoder, content.train.signals)
    middle, spread = features.mean(0), features.std(0) + 1e-6
    labels = content.train.labels.numpy()
    known = [c for c in range(labels.shape[1]) if 0 < labels[:, c].sum() < len(labels)]
    inputs = ((features - middle) / spread).numpy()
    models = {c: LogisticRegression(C=0.1, max_iter=1000).fit(inputs, labels[:, c]) for c in known}
    seconds = time.perf_counter() - begun
    tested = ((_features(encoder, content.test.signals) - middle) / spread).numpy()
    scores = np.zeros((len(tested), labels.shape[1]), np.float32)
    for c, model in models.items():
        scores[:, c] = model.decision_function(tested)
    return macro_auroc(scores, content.test.labels.numpy()), seconds


@torch.no_grad()
def _features(encoder: Encoder, signals: Tensor) -> Tensor:
    return torch.cat([encoder(part) for part in torch.split(signals, AT_ONCE)])
