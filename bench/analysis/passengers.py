"""Find what a combination gains nothing by: from rounds of it and of it without each part. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from bench.analysis.estimate import RATIO_FLOOR
from bench.analysis.moderated import Bounds, steadied
from bench.analysis.objectives import TIME, Basis, Gain, basis_of, gained
from bench.analysis.sequential import LEAST
from bench.analysis.subsets import Gains, Subset, gains_by_round, largest
from bench.records.measurement import Measurement

ROUNDS = 2
"""So many at least tell what a part adds."""
Parts = Mapping[Subset, Sequence[Gain]]
"""By what each part of a combination won alone."""


def passengers(trials: Sequence[Measurement], parts: Parts, timed: bool = True) -> list[Subset]:
    """Return the parts that a combination is not worse without; none where every part adds.

    A part adds where the combination gains more than
    `LEAST_GAIN` by it: in time, or in what else the part won by, as long as it costs no such time.
    Where the run isn't after time (not `timed`), only in what the part won by.
    Of several the one that adds most stays: two that do the same are each dispensable, but not
    both; what it adds without the others is to be measured again. A part that was not measured
    stays.
    """
    basis = basis_of(largest(trials))
    whole = frozenset[str]().union(*parts)
    added = {
        part: found
        for part, gains in parts.items()
        if (found := _added(trials, basis, whole, part, gains, timed)) is not None
    }
    return _but_the_best({part: found for part, found in added.items() if found <= LEAST})


def surely_idle(trials: Sequence[Measurement], parts: Parts, timed: bool = True) -> list[Subset]:
    """Return the parts that few rounds show, likely enough, a combination to be no faster by.

    What also won by something else is one only where it costs time. None where the run isn't after
    time: what else a part won by is looked at in the end.
    """
    seen = _added_time(trials, parts) if timed else {}
    others = {part: set(gains) - {TIME.gain} for part, gains in parts.items()}
    return _but_the_best({
        part: at.middle for part, at in seen.items()
        if at.high < (-LEAST if others[part] else LEAST)
    })  # fmt: skip


def _but_the_best(idle: Mapping[Subset, float]) -> list[Subset]:
    worst_first = sorted(idle, key=lambda part: (idle[part], sorted(part)))
    return worst_first[: max(1, len(idle) - 1)]


def tells(trials: Sequence[Measurement], parts: Collection[Subset], timed: bool = True) -> bool:
    """Tell whether rounds so far show of every part, likely enough, what it adds in time.

    Where the run isn't after time they don't: what else a part won by is looked at in the end.
    """
    seen = _added_time(trials, parts) if timed else {}
    return bool(seen) and all(at.low > LEAST or at.high < LEAST for at in seen.values())


def _added_time(trials: Sequence[Measurement], parts: Collection[Subset]) -> dict[Subset, Bounds]:
    """Return what time each part that was left out is likely to add; none before rounds enough."""
    if not trials:
        return {}
    whole = frozenset[str]().union(*parts)
    rounds = gains_by_round(trials, TIME.value(basis_of(largest(trials))))
    measured = {subset for gains in rounds for subset in gains}
    added = {
        part: np.array(_differences(rounds, whole, part))
        for part in parts
        if whole - part in measured
    }
    if min(map(len, added.values()), default=0) < ROUNDS:
        return {}
    return {p: steadied(one, RATIO_FLOOR, added.values(), len(one)) for p, one in added.items()}


def _added(
    trials: Sequence[Measurement], basis: Basis, whole: Subset, part: Subset,
    gains: Sequence[Gain], timed: bool,
) -> float | None:  # fmt: skip
    """Return the largest log gain by a part in what it may add; None where that is unknown."""
    if not timed:
        won = [_mean(gains_by_round(trials, r.value(basis)), whole, part) for r in gained(gains)]
        return max((value for value in won if value is not None), default=None)
    time = _mean(gains_by_round(trials, TIME.value(basis)), whole, part)
    others = [row for row in gained(gains) if row is not TIME]
    found = [_mean(gains_by_round(trials, row.value(basis)), whole, part) for row in others]
    if time is None or time < -LEAST:
        return time
    return max(time, *(value for value in found if value is not None), -math.inf)


def _mean(rounds: Sequence[Gains], whole: Subset, part: Subset) -> float | None:
    """Return by how much the whole gains more than the rest, over the rounds that have both."""
    known = _differences(rounds, whole, part)
    return math.fsum(known) / len(known) if known else None


def _differences(rounds: Sequence[Gains], whole: Subset, part: Subset) -> list[float]:
    rest = whole - part
    return [gains[whole] - gains[rest] for gains in rounds if {whole, rest} <= gains.keys()]
