"""Pair the test items of trials: what each pair's models score differently, where that is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.analysis.items import FEWEST, LARGEST, Items, Way
from bench.analysis.pairs import Pair, with_metric
from bench.analysis.quality import losses_agree
from bench.baseline import Target
from bench.records.measurement import Measurement

Scores = NDArray[np.float64]


def paired_items(pairs: Sequence[Pair], target: Target) -> Items | None:
    """Return what the test items of an arm's pairs tell; None where not all of them do.

    Every trial with a metric must have scored the same items in the same order, and the metric be
    the mean of what it stored. Of models that were trained twice very few items, or very many, add
    nothing.
    """
    known = with_metric(pairs)
    trials = [trial for pair in known for trial in pair]
    scores = [trial.item_scores for trial in trials if trial.item_scores]
    if not scores or len(scores) < len(trials) or len({(s.order, s.count) for s in scores}) > 1:
        return None
    way, count = _way(known), scores[0].count
    if way == "retrained" and not FEWEST <= count <= LARGEST:
        return None
    if not all(_make_the_metric(trial) for trial in trials):
        return None
    changes = {id(pair): _change(pair, target) for pair in known}
    if not all(np.isfinite(change).all() for change, _ in changes.values()):
        return None
    squares = [
        float(np.mean(changes[id(pair)][0] ** 2)) if id(pair) in changes else np.nan
        for pair in pairs
    ]
    return Items(
        size=count,
        squares=np.array(squares),
        way=way,
        reach=max(reach for _, reach in changes.values()),
        binary=not target.relative and all(one.coding == "bits" for one in scores),
    )


def _make_the_metric(trial: Measurement) -> bool:
    """Tell whether a trial's metric is the mean of the scores that it stored."""
    found, metric = trial.item_scores, trial.metric
    return found is not None and metric is not None and found.mean_is(metric)


def _change(pair: Pair, target: Target) -> tuple[Scores, float]:
    """Return by how much each item is better, as the margin counts, and the most it could be."""
    stored = [trial.item_scores for trial in pair if trial.item_scores]
    before, after = (scores.values() for scores in stored)
    size = abs(pair[0].metric or 0.0) if target.relative else 1.0
    binary = all(scores.coding == "bits" for scores in stored)
    reach = 1.0 if binary else float(np.ptp(np.concatenate((before, after))))
    with np.errstate(invalid="ignore", divide="ignore"):
        better = (before - after if target.lower else after - before) / size
        return better, float(np.divide(reach, size))


def _way(pairs: Sequence[Pair]) -> Way:
    return "converted" if all(map(_is_converted, pairs)) else "retrained"


def _is_converted(pair: Pair) -> bool:
    """Tell whether both trials are one training, of which the model was changed but not trained on.

    The losses of every step are equal, no optimizer made an update afterwards, and no technique
    chooses other weights of the training, as an average of them is.
    """
    before, after = pair
    return (
        after.learns is False
        and before.finish_updates == after.finish_updates == 0
        and len(before.losses) == len(after.losses)
        and losses_agree(before.losses, after.losses) is True
    )
