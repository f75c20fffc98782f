"""Pack what each test item scored, where an evaluation tells and the metric is its mean.

Where that can't be, it costs no trial: it is unknown then, and why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import reason_of
from bench.metrics import ItemMean
from bench.records.item_scores import ByItem, ItemScores
from bench.records.measurement import Advice
from bench.records.schema import Record
from bench.technique import Effect, Technique
from bench.trial.training import Trained


def told_of_items(
    result: Trained, metric: str, techniques: Sequence[Technique], advice: Advice
) -> list[Record]:
    """Return advice on a trial, and what its last evaluation tells of the single items."""
    found = packed_scores(result.found, metric)
    scores, why = (found, None) if isinstance(found, ItemScores) else (None, found)
    if why:
        advice = advice.model_copy(update={"unknown": {**advice.unknown, "item_scores": why}})
    told = ByItem(
        item_scores=scores, finish_updates=result.finish_updates,
        learns=any(technique.effect is Effect.LEARNING for technique in techniques),
    )  # fmt: skip
    return [advice, told]


def packed_scores(found: Mapping[str, float], metric: str) -> ItemScores | str | None:
    """Return the scores of the metric's items, or why they are not kept; None: none are given."""
    mean = found.get(metric)
    if not isinstance(mean, ItemMean):
        return None
    try:
        scores, order = mean.scores, _array(mean.order)
        if scores.ndim != 1 or order.shape[:1] != scores.shape or not len(scores):
            shapes = f"scores of the shape {scores.shape} in an order of the shape {order.shape}"
            return f"{shapes} are not one an item"
        if not np.isfinite(scores).all():
            return "a score is not finite"
        packed = ItemScores.of(scores.tolist(), _digest(order))
    except Exception as error:  # noqa: BLE001 - whatever an evaluation gives, it only advises
        return reason_of(error)
    if not packed.mean_is(mean):
        return f"their mean {float(scores.mean()):.6g} is not the {metric}, {mean:.6g}"
    return packed


def _array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _digest(order: NDArray[Any]) -> str:
    """Return the hash of values with their shape; of what is no number, as text."""
    plain = order.astype(str) if order.dtype == object else order
    head = f"{plain.dtype}{plain.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(plain).tobytes()).hexdigest()
