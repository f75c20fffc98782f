"""The margin of ``--margin auto``: from trials of the baseline alone, before any arm is judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from bench.analysis.grid import floor_of
from bench.analysis.metric import target_of
from bench.analysis.ratio_of_ratios import seed_means
from bench.baseline import Target
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Measurement

SHOWN_OF_DEVIATION = 0.62
"""The loss that 30 pairs exclude four times in five, of the differences' standard deviation."""
BETWEEN_SEEDS = math.sqrt(2)
"""Differences of two trainings spread at most by so much more than one training over its seeds."""


class Margin(NamedTuple):
    """A margin with what it rests on."""

    size: float
    seeds: int
    """Of the baseline's trainings."""
    why: str


def screening_margin(header: Header, trials: Sequence[Measurement]) -> float:
    """Return the margin that a run's screening, and what follows up to confirming, choose by.

    What the screening's own trials make it, whatever is fixed later: what was chosen stays chosen
    where a run goes on.
    """
    if not header.margin_auto:
        return header.margin
    wished = header.margin if header.margin_wished is None else header.margin_wished
    own = [trial for trial in trials if trial.stage == "test"]
    return automatic_margin(own, target_of(header), wished).size


def as_screened(header: Header, trials: Sequence[Measurement]) -> Header:
    """Return a header with the margin that its run's screening chooses by."""
    return header.model_copy(update={"margin": screening_margin(header, trials)})


def margin_now(header: Header, trials: Sequence[Measurement]) -> float:
    """Return a run's margin; where it isn't fixed yet, what the trials so far would make it."""
    if not header.margin_auto or header.margin_seeds is not None:
        return header.margin
    return automatic_margin(trials, target_of(header), header.margin).size


def automatic_margin(trials: Sequence[Measurement], target: Target, wished: float) -> Margin:
    """Return the margin that is wished, as far as this test part and these seeds can show it.

    At least `wished`, the loss that 30 pairs can exclude, and one test item. Trials of other arms
    are not looked at; equal seeds count once.
    """
    own = [t for t in trials if t.arm in (BASELINE, CONTROL) and t.ok and t.metric is not None]
    metrics = [*seed_means((t.seed, t.metric) for t in own if t.metric is not None).values()]
    sizes = {
        "wished for": wished,
        "what 30 pairs can show of this spread over seeds": _shown(metrics, target.relative),
        "one test item": 2 * floor_of(own, target.relative, target.bounds),
    }
    why = max(sizes, key=lambda name: sizes[name])
    return Margin(sizes[why], len(metrics), why)


def _shown(metrics: Sequence[float], relative: bool) -> float:
    """Return the loss that 30 pairs exclude four times in five; 0: it can't be told."""
    if len(metrics) < 2:
        return 0.0
    mean = abs(fmean(metrics))
    if relative and not mean:
        return 0.0
    return SHOWN_OF_DEVIATION * BETWEEN_SEEDS * stdev(metrics) / (mean if relative else 1.0)
