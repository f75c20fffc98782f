"""Find what a combination gains nothing by: from rounds of it and of it without each part. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.analysis.attribution import Gains, Subset, gains_by_round, largest
from bench.analysis.objectives import TIME, Basis, Gain, basis_of, gained
from bench.analysis.sequential import LEAST
from bench.records.measurement import Measurement


def passenger(
    trials: Sequence[Measurement], parts: Mapping[Subset, Sequence[Gain]], timed: bool = True
) -> Subset | None:
    """Return the part that a combination is not worse without; None where every part adds.

    `parts` says by what each part won alone. A part adds where the combination gains more than
    `LEAST_GAIN` by it: in time, or in what else the part won by, as long as it costs no such time.
    Where the run isn't after time (not `timed`), only in what the part won by.
    One part at a time: two that do the same are each dispensable, but not both. A part that was not
    measured stays.
    """
    basis = basis_of(largest(trials))
    whole = frozenset[str]().union(*parts)
    added = {
        part: found
        for part, gains in parts.items()
        if (found := _added(trials, basis, whole, part, gains, timed)) is not None
    }
    idle = {part: found for part, found in added.items() if found <= LEAST}
    return min(idle, key=lambda part: (idle[part], sorted(part)), default=None)


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
    rest = whole - part
    known = [gains[whole] - gains[rest] for gains in rounds if {whole, rest} <= gains.keys()]
    return math.fsum(known) / len(known) if known else None
