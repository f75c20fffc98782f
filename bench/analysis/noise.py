"""Whether a machine was too noisy for what a run found to be read at all."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from bench.analysis.control import control_of
from bench.analysis.levels import rule_of
from bench.analysis.pairs import again, whole
from bench.analysis.results import Comparison, Control
from bench.analysis.sequential import LEAST_GAIN
from bench.records.header import Header
from bench.records.measurement import Measurement

DROWNING = 0.5
"""The smallest gain in time that shows, from which on next to nothing would have shown."""


class Noise(StrEnum):
    """What the baseline against itself says of a run."""

    UNKNOWN = "unknown"
    FINE = "fine"
    UNEQUAL = "the baseline differs from itself"
    DROWNING = "only large effects could have shown"


def noise_of(comparison: Comparison) -> Noise:
    """Return whether the A/A control allows a run's ratios of time to be trusted."""
    control = comparison.control
    if control is None or not control.pairs or control.time_ratio is None:
        return Noise.UNKNOWN
    if differs(control):
        return Noise.UNEQUAL
    visible = comparison.smallest_visible_effect
    return Noise.DROWNING if visible is not None and visible >= DROWNING else Noise.FINE


def differs(control: Control) -> bool:
    """Tell whether the baseline took surely longer, or shorter, than itself: by the least gain."""
    if control.time_ratio is None:
        return False
    low, _, high = control.time_ratio
    return low is not None and high is not None and (low > LEAST_GAIN or high < 1 / LEAST_GAIN)


def unequal(header: Header, trials: Sequence[Measurement]) -> str | None:
    """Say of a stored run that its baseline differs from itself; None where it does not."""
    pairs = whole(again(trials, header.screening is not None))
    control = control_of(pairs, rule_of(header))
    if control.time_ratio is None or not differs(control):
        return None
    return (
        f"the baseline of {header.run} is {control.time_ratio.middle:.2f}x as fast as itself "
        "(A/A): its arms' ratios may be off by as much"
    )
