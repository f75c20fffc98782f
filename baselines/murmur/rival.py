"""The cheapest honest rival: a forest on the mean and the spread of each mel band."""

from __future__ import annotations

import time

import torch

from baselines.murmur import data
from baselines.murmur.data import Part
from baselines.murmur.scoring import MURMUR_WEIGHTS, decide, weighted_accuracy
from baselines.murmur.settings import MurmurSettings

TREES = 500


def fit(settings: MurmurSettings) -> tuple[float, float]:
    """Return the murmur's weighted accuracy on the test part, and the seconds of the fit."""
    from sklearn.ensemble import RandomForestClassifier

    content = data.load(settings)
    begun = time.perf_counter()
    forest = RandomForestClassifier(TREES, class_weight="balanced", random_state=0)
    forest.fit(_statistics(content.train).numpy(), _of_stretches(content.train).numpy())
    seconds = time.perf_counter() - begun
    stretches = torch.zeros(len(content.test), len(MURMUR_WEIGHTS))
    stretches[:, forest.classes_] = torch.from_numpy(
        forest.predict_proba(_statistics(content.test).numpy())
    ).float()
    said = decide(content.test.by_patient(stretches).numpy(), MURMUR_WEIGHTS)
    return weighted_accuracy(content.test.murmur, said, MURMUR_WEIGHTS), seconds


def _statistics(part: Part) -> torch.Tensor:
    """Return mean and deviation over time of every band ``(N, 2 * mels)``."""
    images = part.images[:, 0].float()
    return torch.cat([images.mean(2), images.std(2)], 1)


def _of_stretches(part: Part) -> torch.Tensor:
    return torch.from_numpy(part.murmur)[part.patients]
