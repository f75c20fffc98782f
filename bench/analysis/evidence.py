"""What the pairs of an arm say of each question of the verdict: from measurements to numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from bench.analysis import objectives
from bench.analysis.estimate import Flags
from bench.analysis.grid import floor_of
from bench.analysis.nodes import nodes_of
from bench.analysis.objectives import Basis
from bench.analysis.out_of_time import clips, log_ratios
from bench.analysis.paired_items import paired_items
from bench.analysis.pairs import Pair, failed
from bench.analysis.quality import REORDERED, losses_agree
from bench.analysis.sequential import Objective, Quality
from bench.baseline import Target
from bench.records.measurement import Measurement


class Evidence(NamedTuple):
    """All that a verdict rests on, pair by pair."""

    rows: tuple[objectives.Objective, ...]
    """That which was measured of the baseline, a row each."""
    objectives: tuple[Objective, ...]
    quality: Quality
    failed: Flags
    asked: tuple[objectives.Objective, ...] = ()
    """What a gain would count in, measured or not."""

    @property
    def random(self) -> int:
        """Return among how many objectives an arm's share of the error is divided."""
        return sum(not row.deterministic for row in self.rows)


def evidence_of(
    pairs: Sequence[Pair], basis: Basis, margin: float, unlike: float | None, target: Target,
    counts: Callable[[objectives.Objective], bool] = objectives.every,
) -> Evidence:  # fmt: skip
    """Return what pairs say; `unlike` is how far the baseline's losses differ from its own, if so.

    A trial that ran out of time counts with what it took: its ratio is at least so far from 1.
    """
    candidate = _known(pairs, lambda m: m.effect is not None)
    effect = candidate.effect if candidate else None
    baselines = [b for b, _ in pairs if b.ok]
    asked = objectives.counting(effect, counts)
    rows = tuple(row for row in asked if objectives.told(row, baselines))
    changes = np.array([_gain(pair, target) for pair in pairs], float)
    exact = effect == "exact" and unlike is None
    tolerance = _tolerance(effect, candidate.rounding if candidate else None, unlike)
    agree = None if tolerance is None else [losses_agree_in(pair, tolerance) for pair in pairs]
    trials = [trial for pair in pairs for trial in pair]
    quality = Quality(
        changes, margin, floor_of(trials, target.relative),
        None if agree is None else np.array(agree, bool), exact, paired_items(pairs, target),
    )  # fmt: skip
    seen = tuple(_seen(row, pairs, basis, quality) for row in rows)
    return Evidence(rows, seen, quality, np.array([failed(p) for p in pairs], bool), asked)


def _seen(
    row: objectives.Objective, pairs: Sequence[Pair], basis: Basis, quality: Quality
) -> Objective:
    """Return what pairs say of one objective.

    Of the metric any gain that is surely one counts; none of the margin's size is none worth
    finding: as a loss of that size is none worth minding.
    """
    if row is not objectives.QUALITY:
        logs, clipped = log_ratios(pairs, row, basis), clips(row, pairs)
        return Objective(row.name, logs, row.deterministic, ratios=clipped, nodes=nodes_of(pairs))
    return Objective(
        row.name, quality.differences, least=0.0, worth=quality.margin, floor=quality.floor,
        ratios=False,
    )  # fmt: skip


def losses_agree_in(pair: Pair, tolerance: float) -> bool:
    """Tell whether the losses of a pair agree; a candidate that failed is counted elsewhere."""
    baseline, candidate = pair
    if not (baseline.ok and candidate.ok):
        return True
    return losses_agree(baseline.losses, candidate.losses, tolerance) is True


def _tolerance(effect: str | None, rounding: float | None, unlike: float | None) -> float | None:
    """Return how far losses may differ where the effect promises equal ones; None: it doesn't."""
    if effect == "rounding":
        return max(rounding or REORDERED, unlike or 0.0)
    if effect != "exact":
        return None
    return 0.0 if unlike is None else max(REORDERED, unlike)


def _gain(pair: Pair, target: Target) -> float:
    before, after = (trial.metric for trial in pair)
    return math.nan if before is None or after is None else target.gain(before, after)


def _known(pairs: Sequence[Pair], says: Callable[[Measurement], bool]) -> Measurement | None:
    """Return a candidate's trial that says something."""
    return next((c for _, c in pairs if says(c)), None)
