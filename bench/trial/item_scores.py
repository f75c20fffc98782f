"""Pack what each test item scored, where an evaluation tells and the metric is its mean.

Where that can't be, it costs no trial: it is unknown then, and why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import reason_of
from bench.metrics import Scored
from bench.records.item_scores import ByItem, ItemScores
from bench.records.measurement import Advice
from bench.records.schema import Record
from bench.trial.training import Trained


def told_of_items(result: Trained, metric: str, advice: Advice) -> list[Record]:
    """Return advice on a trial, and what its last evaluation tells of the single items."""
    found = packed_scores(result.found, metric)
    scores, why = (found, None) if isinstance(found, ItemScores) else (None, found)
    if why:
        advice = advice.model_copy(update={"unknown": {**advice.unknown, "item_scores": why}})
    return [advice, ByItem(item_scores=scores, finish_updates=result.finish_updates)]


def packed_scores(found: Mapping[str, float], metric: str) -> ItemScores | str | None:
    """Return the scores of the metric's items, or why they are not kept; None: none are given."""
    if not isinstance(found, Scored) or metric not in found.scores:
        return None
    try:
        scores, order = _array(found.scores[metric]), _array(found.order)
        if scores.ndim != 1 or order.shape[:1] != scores.shape or not len(scores):
            shapes = f"scores of the shape {scores.shape} in an order of the shape {order.shape}"
            return f"{shapes} are not one an item"
        if not np.isfinite(scores.astype(float)).all():
            return "a score is not finite"
        packed = ItemScores.of(scores.astype(float).tolist(), _digest(order))
    except Exception as error:  # noqa: BLE001 - whatever an evaluation gives, it only advises
        return reason_of(error)
    if not packed.mean_is(found[metric]):
        mean = float(scores.astype(float).mean())
        return f"their mean {mean:.6g} is not the {metric}, {found[metric]:.6g}"
    return packed


def _array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _digest(order: NDArray[Any]) -> str:
    """Return the hash of values with their shape; of what is no number, as text."""
    plain = order.astype(str) if order.dtype == object else order
    head = f"{plain.dtype}{plain.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(plain).tobytes()).hexdigest()
