"""Whether a machine was too noisy for what a run found to be read at all."""

from __future__ import annotations

from enum import StrEnum

from bench.analysis.results import Comparison
from bench.analysis.sequential import LEAST_GAIN

DROWNING = 0.5
"""The smallest gain in time that shows, from which on next to nothing would have shown."""


class Noise(StrEnum):
    """What the baseline against itself says of a run."""

    UNKNOWN = "unknown"
    FINE = "fine"
    UNEQUAL = "the baseline differs from itself"
    DROWNING = "only large effects could have shown"


def noise_of(comparison: Comparison) -> Noise:
    """Return whether the A/A control allows a run's ratios of time to be trusted.

    A difference of the baseline from itself counts where it is surely more than the least gain.
    """
    control = comparison.control
    ratio = control.time_ratio if control else None
    if control is None or not control.pairs or ratio is None:
        return Noise.UNKNOWN
    low, high = ratio.low, ratio.high
    if low is not None and high is not None and (low > LEAST_GAIN or high < 1 / LEAST_GAIN):
        return Noise.UNEQUAL
    visible = comparison.smallest_visible_effect
    return Noise.DROWNING if visible is not None and visible >= DROWNING else Noise.FINE
