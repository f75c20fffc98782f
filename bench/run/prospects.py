"""What an arm's pair may take and gain, by rehearsals and the baseline's profile, before any pair.

Where a budget doesn't pay for a pair of every arm, this chooses which are measured first; it judges
none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.bounds import HELD, PHASES, profiled
from bench.analysis.payback import planned_seconds
from bench.records.measurement import BASELINE, Measurement
from bench.run.plan import BLOCK, Contrast

SURE = 5.0
"""Times as fast, or as slow, that a rehearsed step may be to be taken at its word."""
REMOTE = -math.log(SURE)
"""Of an arm that takes nothing away: it may only end at another time."""


class Prospect(NamedTuple):
    """What is to be expected of an arm."""

    seconds: float
    """Of a pair, with its share of the baseline's trial."""
    gain: float
    """Of log time, by the rehearsed step alone."""


UNKNOWN = Prospect(0.0, 0.0)


def prospects(
    contrasts: Sequence[Contrast], rehearsed: Sequence[Measurement], probed: Sequence[Measurement]
) -> dict[str, Prospect]:
    """Return what is to be expected of arms; nothing where the baseline was not profiled."""
    profile, known = profiled(probed), {one.arm: one for one in rehearsed}
    baseline = known.get(BASELINE)
    whole = planned_seconds(profile) if profile else None
    if profile is None or baseline is None or whole is None:
        return {}
    found = {}
    for contrast in contrasts:
        own = known.get(contrast.arm)
        if own is not None:
            faster = _faster(baseline, own)
            pair = [(baseline, 1.0, BLOCK), (own, faster, 1)]
            seconds = math.fsum(
                (whole / ratio + (one.wall_seconds or 0.0)) / sharing
                if contrast.kind == "full"
                else (profile.wall_seconds or 0.0) / ratio / sharing
                for one, ratio, sharing in pair
            )
            found[contrast.arm] = Prospect(seconds, _gain(own, faster))
    return found


def _faster(baseline: Measurement, own: Measurement) -> float:
    """Return how many times as fast the fastest rehearsed step is; 1 where that isn't known."""
    if not baseline.step_seconds or not own.step_seconds or min(own.step_seconds) <= 0:
        return 1.0
    ratio = min(baseline.step_seconds) / min(own.step_seconds)
    return min(max(ratio, 1 / SURE), SURE)


def _gain(own: Measurement, faster: float) -> float:
    takes_away = own.touches is None or {*own.touches} & {*map(str, PHASES | HELD)}
    return math.log(faster) if takes_away else REMOTE
