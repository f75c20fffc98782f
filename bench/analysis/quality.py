"""Tell whether losses agree as a technique promises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

LEAST_STEPS = 15
"""Steps over which losses must agree to say anything."""
REORDERED = 1e-4
"""The relative difference of losses that other orders of the same sums leave (float32)."""
COARSEST = 1e-2
"""The largest that is taken for rounding (bfloat16), unless a technique declares a larger one."""
SEEN_ONCE = 10
"""By how many times what two equal trainings differ by is exceeded, where that was seen once: half
of four pairs that differ by the same chance lie within in 98 % of runs (lognormal, spread 1)."""


class Unlike(NamedTuple):
    """How far the losses of equal trainings differ, where a baseline does not repeat."""

    apart: float
    """The largest relative difference of their first losses."""
    pairs: int = 1
    """Of how many pairs of the baseline with itself."""

    @property
    def reach(self) -> float:
        """Return what half of other equal trainings are within, almost surely."""
        return self.apart * (1 + SEEN_ONCE / self.pairs)

    @property
    def said(self) -> str:
        """Return that losses so far apart tell nothing, in words."""
        far = f"by {100 * self.apart:.3g} %" if math.isfinite(self.apart) else "beyond any number"
        return f"losses of equal trainings differ {far}, so they tell nothing"


def losses_agree(
    before: Sequence[float], after: Sequence[float], tolerance: float = 0.0
) -> bool | None:
    """Tell whether the losses of two trainings agree; None: over fewer than 15 common steps.

    With no tolerance, all the steps that both made must be equal bit for bit; else the first 15
    must agree to that share of the larger: later ones grow apart by themselves.
    """
    if tolerance == 0:
        same = all(one == other for one, other in zip(before, after, strict=False))
    else:
        same = apart(before, after) <= tolerance
    enough = min(len(before), len(after)) >= LEAST_STEPS
    return same if enough or not same else None


def apart(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the largest relative difference of the first 15 losses; inf where one is no number."""
    pairs = list(zip(before[:LEAST_STEPS], after[:LEAST_STEPS], strict=False))
    if not all(math.isfinite(value) for pair in pairs for value in pair):
        return math.inf
    sizes = [(abs(one - other), max(abs(one), abs(other))) for one, other in pairs]
    return max((gap / size for gap, size in sizes if size > 0), default=0.0)
