"""How sure each of many judgements, one after the other, must be: LORD++.

Who tries one edit after another keeps some by chance, the more the longer it goes on. LORD++
(Ramdas, Yang, Wainwright and Jordan, "Online control of the false discovery rate with decaying
memory", NeurIPS 2017) gives every judgement a level that depends on what was kept before, so that
of all that is kept an expected share of at most `ALPHA` is no gain, however many edits follow.
Levels fall while nothing is kept, and rise with each keep.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analysis.levels import ALPHA

FIRST_WEALTH = 0.5
"""The share of `ALPHA` that is spent before anything was kept."""


def next_level(kept: Sequence[bool], alpha: float = ALPHA) -> float:
    """Return the error allowed to the next judgement, given whether each earlier one kept."""
    now = len(kept) + 1
    times = [number for number, one in enumerate(kept, 1) if one]
    level = FIRST_WEALTH * alpha * _share(now)
    if times:
        level += (1 - FIRST_WEALTH) * alpha * _share(now - times[0])
    return level + alpha * math.fsum(_share(now - time) for time in times[1:])


def _share(age: int) -> float:
    """Return gamma of Javanmard and Montanari (2018), which sums to 1 over all ages."""
    return 0.0722 * math.log(max(age, 2)) / (age * math.exp(math.sqrt(math.log(age))))
