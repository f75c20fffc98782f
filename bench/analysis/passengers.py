"""Find what a combination gains nothing by: from rounds of it and of it without each part. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bench.analysis.attribution import Gains, Subset, gains_by_round, largest, techniques_of
from bench.analysis.estimate import RATIO_FLOOR
from bench.analysis.objectives import TIME, Basis, Gain, basis_of, gained
from bench.analysis.screening import FIRST, steadied
from bench.analysis.sequential import LEAST
from bench.records.measurement import Measurement


def passengers(
    trials: Sequence[Measurement], parts: Mapping[Subset, Sequence[Gain]], timed: bool = True
) -> list[Subset]:
    """Return the parts that a combination is not worse without; none where every part adds.

    `parts` says by what each part won alone. A part adds where the combination gains more than
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
    idle = {part: found for part, found in added.items() if found <= LEAST}
    worst_first = sorted(idle, key=lambda part: (idle[part], sorted(part)))
    return worst_first[: max(1, len(idle) - 1)]


def tells(trials: Sequence[Measurement], parts: Sequence[Subset], timed: bool = True) -> bool:
    """Tell whether rounds so far show of every part, likely enough, what it adds in time.

    Where the run isn't after time they don't: what else a part won by is looked at in the end.
    """
    if not timed or not trials or not parts:
        return False
    whole = frozenset(techniques_of(largest(trials)))
    rounds = gains_by_round(trials, TIME.value(basis_of(largest(trials))))
    added = {part: np.array(_differences(rounds, whole, part)) for part in parts}
    if min(map(len, added.values())) < FIRST:
        return False
    seen = [steadied(one, RATIO_FLOOR, added.values(), len(one)) for one in added.values()]
    return all(one.low > LEAST or one.high < LEAST for one in seen)


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
