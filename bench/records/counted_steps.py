"""Where the items of a step are unknown, as of some scripts, a measurement counts steps instead."""

from __future__ import annotations

from bench.records.measurement import Measurement

ITEMS = "items"
"""What is among the unknown facts of such a measurement, with the reason."""


def counts_steps(measured: Measurement) -> bool:
    """Tell whether the items of a measurement are its steps."""
    return ITEMS in measured.unknown
