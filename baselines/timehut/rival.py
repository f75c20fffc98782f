"""The cheapest honest rival: MiniROCKET's random kernels and a ridge (Dempster et al., 2021)."""

from __future__ import annotations

import time

import numpy as np

from baselines.timehut import data
from baselines.timehut.settings import TimeHUTSettings
from baselines.timehut.sources import resolve

KERNELS = 10_000


def fit(settings: TimeHUTSettings) -> tuple[float, float]:
    """Return the accuracy on the test part, and the seconds of a fit once its code is compiled."""
    from aeon.classification.convolution_based import MiniRocketClassifier

    source, _ = resolve(settings.dataset, settings.data_dir)
    content = data.load(source)
    train, test = (np.nan_to_num(part.series.transpose(0, 2, 1)).astype(np.float64)
                   for part in (content.train, content.test))  # fmt: skip
    for _ in range(2):  # the first time it is compiled
        begun = time.perf_counter()
        model = MiniRocketClassifier(n_kernels=KERNELS, random_state=0)
        model.fit(train, content.train.labels)
        seconds = time.perf_counter() - begun
    return float((model.predict(test) == content.test.labels).mean()), seconds
