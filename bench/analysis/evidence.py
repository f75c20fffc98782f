"""What the pairs of an arm say of each question of the verdict: from measurements to numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bench.analysis import objectives
from bench.analysis.estimate import Flags, Marks
from bench.analysis.grid import floor_of
from bench.analysis.nodes import nodes_of
from bench.analysis.objectives import ANY_COST, Basis, Sought
from bench.analysis.objectives import Objective as Row
from bench.analysis.out_of_time import clips, log_ratios
from bench.analysis.paired_items import paired_items
from bench.analysis.pairs import (
    ONE_SEED,
    Pair,
    failures,
    gains,
    has_one_seed,
    once,
    with_metric,
)
from bench.analysis.quality import COARSEST, REORDERED, Unlike, losses_agree
from bench.analysis.sequential import Objective, Quality
from bench.baseline import Target
from bench.records.measurement import Measurement

REPEAT = "make the training repeat, by seeding every generator that it draws from"
"""The way out where neither losses nor a metric tell."""


class Evidence(NamedTuple):
    """All that a verdict rests on, pair by pair."""

    rows: tuple[objectives.Objective, ...]
    """That which was measured of the baseline, a row each."""
    objectives: tuple[Objective, ...]
    quality: Quality
    failures: Marks
    """Of each pair whether its candidate alone failed, unknown where it tells nothing."""
    asked: tuple[objectives.Objective, ...] = ()
    """In what a gain would be one, measured or not."""
    untold: str | None = None
    """Why more pairs tell no more of the quality; None: they do."""
    blind: Unlike | None = None
    """How far losses of equal trainings differ, where that is so far that they tell nothing."""
    strict: bool = False
    """Whether losses are held to less than equal trainings may differ by: then those that are too
    far apart prove nothing."""

    @property
    def failed(self) -> Flags:
        """Return which pairs' candidates alone failed."""
        return np.asarray(self.failures == 1)

    @property
    def wanted(self) -> tuple[Row, ...]:
        """Return what of that was measured of the baseline."""
        both = zip(self.rows, self.objectives, strict=True)
        return tuple(row for row, one in both if one.wanted)

    @property
    def random(self) -> int:
        """Return among how many objectives an arm's share of the error is divided."""
        return _random(self.rows)


def evidence_of(
    pairs: Sequence[Pair], basis: Basis, margin: float, unlike: Unlike | None, target: Target,
    sought: Sought = ANY_COST,
) -> Evidence:  # fmt: skip
    """Return what pairs say; `unlike` is how far the baseline's losses differ from its own, if so.

    A trial that ran out of time counts with what it took: its ratio is at least so far from 1. Of a
    pair whose baseline failed all is unknown; of equal trainings of the baseline one tells of
    quality, whatever their seeds.
    """
    candidate = _known(pairs, lambda m: m.effect is not None)
    effect = candidate.effect if candidate else None
    counting = objectives.counting(effect, sought.counts)
    rows = _measured(counting, pairs)
    changes = np.where(once(pairs), gains(pairs, target), np.nan)
    exact = effect == "exact" and unlike is None
    rounding = candidate.rounding if candidate else None
    blind = unlike if _is_blind(effect, rounding, unlike) else None
    tolerance = None if blind else _tolerance(effect, rounding, unlike)
    agree = None if tolerance is None else [losses_agree_in(pair, tolerance) for pair in pairs]
    reach = 0.0 if unlike is None else unlike.reach
    trials = [trial for pair in pairs for trial in pair]
    quality = Quality(
        changes, margin, floor_of(trials, target.relative, target.bounds),
        None if agree is None else np.array(agree, float), exact, paired_items(pairs, target),
        half=unlike is not None,
    )  # fmt: skip
    seen = tuple(
        replace(_seen(row, pairs, basis, quality), wanted=sought.wanted(row)) for row in rows
    )
    return Evidence(
        rows, seen, quality, np.array(failures(pairs), float),
        tuple(filter(sought.wanted, counting)), _untold(pairs, blind), blind,
        strict=reach > _coarsest(rounding),
    )  # fmt: skip


def random_in(
    pairs: Sequence[Pair], effect: str | None, counts: Callable[[objectives.Objective], bool]
) -> int:
    """Return among how many objectives a verdict on pairs divides an arm's share of the error."""
    return _random(_measured(objectives.counting(effect, counts), pairs))


def _measured(
    asked: Sequence[objectives.Objective], pairs: Sequence[Pair]
) -> tuple[objectives.Objective, ...]:
    """Return which objectives were measured of the baseline."""
    baselines = [baseline for baseline, _ in pairs if baseline.ok]
    return tuple(row for row in asked if objectives.told(row, baselines))


def _random(rows: Sequence[objectives.Objective]) -> int:
    return sum(not row.deterministic for row in rows)


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


def losses_agree_in(pair: Pair, tolerance: float) -> float:
    """Return 1 where the losses of a pair agree, else 0; NaN: one of its trials gave nothing."""
    baseline, candidate = pair
    if not (baseline.ok and candidate.ok):
        return math.nan
    return float(losses_agree(baseline.losses, candidate.losses, tolerance) is True)


def _tolerance(effect: str | None, rounding: float | None, unlike: Unlike | None) -> float | None:
    """Return how far losses may differ where the effect promises equal ones; None: it doesn't.

    What chance explains counts up to where losses would tell nothing.
    """
    chance = 0.0 if unlike is None else min(unlike.reach, _coarsest(rounding))
    if effect == "rounding":
        return max(rounding or REORDERED, chance)
    if effect != "exact":
        return None
    return 0.0 if unlike is None else max(REORDERED, chance)


def _is_blind(effect: str | None, rounding: float | None, unlike: Unlike | None) -> bool:
    """Tell whether losses can't show what an effect promises, as equal ones differ by more."""
    if unlike is None or effect not in ("exact", "rounding"):
        return False
    return unlike.apart > _coarsest(rounding)


def _coarsest(rounding: float | None) -> float:
    """Return the most that losses may differ by and still tell something."""
    return max(COARSEST, rounding or 0.0)


def _untold(pairs: Sequence[Pair], blind: Unlike | None) -> str | None:
    """Say why neither the metric nor losses tell more in more pairs; None: one of them does."""
    if has_one_seed(pairs):
        return ONE_SEED
    if blind is None or with_metric(pairs):
        return None
    return f"{blind.said}, and the metric was not measured: {REPEAT}"


def _known(pairs: Sequence[Pair], says: Callable[[Measurement], bool]) -> Measurement | None:
    """Return a candidate's trial that says something."""
    return next((c for _, c in pairs if says(c)), None)
