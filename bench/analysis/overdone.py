"""Find what to leave out of a combination that loses more than it may. Pure.

Parts that each keep the quality may lose it together: shorter trainings of smaller models, say.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from bench.analysis.margin import automatic_margin
from bench.analysis.metric import target_of
from bench.analysis.pairs import Pair
from bench.analysis.subsets import Subset, techniques_of
from bench.analysis.tries import yardstick
from bench.records.header import Header
from bench.records.measurement import BASELINE, Measurement

CHANCE = 1.0
"""By what share of what may be lost more is, by chance, in one pair; in the mean of more, less."""
LEAST, MOST = 1e-9, sys.float_info.max
"""Margins that any loss of the metric exceeds, and none."""


class Found(NamedTuple):
    """What the pairs of a combination give, in the mean."""

    excess: float
    """By what share it exceeds what it must keep, its quality or a limit, beyond chance; 0 or
    below: it doesn't."""
    gain: float


def overdone(
    header: Header, trials: Sequence[Measurement], whole: Subset, without: Mapping[Subset, Subset]
) -> Subset | None:
    """Return which part to leave out of a whole; None: it keeps what it must, or nothing tells.

    The header's margin is that which is chosen by. `without` gives by the part what is left without
    it. Where that keeps what it must, the part is left out without which the gain is the largest;
    where none does, that without which the least is exceeded.
    """
    found = _found(header, trials)
    known = {part: found[rest] for part, rest in without.items() if rest in found}
    if whole not in found or found[whole].excess <= 0 or not known:
        return None
    fitting = {part: one.gain for part, one in known.items() if one.excess <= 0}
    return max(
        fitting or known,
        key=lambda part: (fitting[part] if fitting else -known[part].excess, sorted(part)),
    )


def exceeding(header: Header, trials: Sequence[Measurement]) -> set[Subset]:
    """Return which combinations exceed what they must keep."""
    return {subset for subset, one in _found(header, trials).items() if one.excess > 0}


def _found(header: Header, trials: Sequence[Measurement]) -> dict[Subset, Found]:
    by = yardstick(header.model_copy(update={"margin": _allowed(header, trials)}))
    pairs: dict[Subset, list[Pair]] = {}
    baselines = {trial.pair: trial for trial in trials if trial.arm == BASELINE}
    for trial in trials:
        if trial.arm != BASELINE and trial.pair in baselines:
            own = pairs.setdefault(frozenset(techniques_of(trial)), [])
            own.append((baselines[trial.pair], trial))
    return {
        subset: Found(fmean(map(by.excess, own)) - CHANCE / len(own), fmean(gains))
        for subset, own in pairs.items()
        if (gains := [gain for pair in own if (gain := by.gain(pair)) is not None])
    }


def _allowed(header: Header, trials: Sequence[Measurement]) -> float:
    """Return what may be lost of the metric: where that is nothing, what chance and grid explain.

    By one seed, where there is no grid, nobody knows that: then no loss is told.
    """
    if header.margin:
        return header.margin
    found = automatic_margin(trials, target_of(header), 0.0)
    return found.size or (LEAST if found.seeds > 1 else MOST)
