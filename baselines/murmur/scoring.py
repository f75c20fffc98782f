"""The official metrics of the challenge of 2022, and AUROCs, of patients.

Reyna et al., Heart Murmur Detection from Phonocardiogram Recordings: The George B. Moody PhysioNet
Challenge 2022, PLOS Digital Health 2023, equations 1 to 7.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics import ItemMean, auroc

Classes = NDArray[np.int64]
Floats = NDArray[np.float32]
MURMUR_WEIGHTS = (5.0, 3.0, 1.0)
"""Of a patient whose murmur is present, unknown, absent."""
OUTCOME_WEIGHTS = (5.0, 1.0)
"""Of a patient whose outcome is abnormal, normal."""
ABNORMAL = 0
ALGORITHM, TREATMENT, ERROR = 10.0, 10_000.0, 50_000.0
"""US dollars for prescreening one patient, for treating one in time, and for one missed."""


def weighted_accuracy(truth: Classes, decided: Classes, weights: Sequence[float]) -> float:
    """Return the share of patients decided rightly, each counted by the weight of its class."""
    each = np.asarray(weights)[truth]
    right = each * (truth == decided)
    return ItemMean(right / each.mean(), truth, float(right.sum() / each.sum()))


def outcome_cost(truth: Classes, decided: Classes) -> float:
    """Return the mean cost of a patient in US dollars, where those decided abnormal see an expert.

    Class 0 is abnormal. Experts cost more per patient the more of all patients they see.
    """
    ill, referred = truth == ABNORMAL, decided == ABNORMAL
    share = float(referred.mean())
    expert = 25 + 397 * share - 1718 * share**2 + 11296 * share**4
    treated, missed = float((ill & referred).mean()), float((ill & ~referred).mean())
    return ALGORITHM + expert + TREATMENT * treated + ERROR * missed


def decide(probabilities: Floats, weights: Sequence[float]) -> Classes:
    """Return the classes ``(P,)`` that give the highest expected weighted accuracy."""
    chosen: Classes = (probabilities * np.asarray(weights)).argmax(1)
    return chosen


def scores(
    murmur: Floats, outcome: Floats, truth_murmur: Classes, truth_outcome: Classes
) -> dict[str, float]:
    """Return all metrics of patients from probabilities ``(P, 3)`` and ``(P, 2)``."""
    said, told = decide(murmur, MURMUR_WEIGHTS), decide(outcome, OUTCOME_WEIGHTS)
    nan = float("nan")
    present = auroc(murmur[:, 0], (truth_murmur == 0).astype(np.float32))
    abnormal = auroc(outcome[:, 0], (truth_outcome == ABNORMAL).astype(np.float32))
    return {
        "murmur_weighted_accuracy": weighted_accuracy(truth_murmur, said, MURMUR_WEIGHTS),
        "outcome_weighted_accuracy": weighted_accuracy(truth_outcome, told, OUTCOME_WEIGHTS),
        "outcome_cost": outcome_cost(truth_outcome, told),
        "present_auroc": nan if present is None else present,
        "outcome_auroc": nan if abnormal is None else abnormal,
        **accuracies(murmur, outcome, truth_murmur, truth_outcome),
    }


def accuracies(
    murmur: Floats, outcome: Floats, truth_murmur: Classes, truth_outcome: Classes
) -> dict[str, float]:
    """Return how many patients' likeliest classes are right, of both heads."""
    return {
        "murmur_accuracy": float((murmur.argmax(1) == truth_murmur).mean()),
        "outcome_accuracy": float((outcome.argmax(1) == truth_outcome).mean()),
    }
