"""What is judged of a measurement: one row for each objective."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bench.records.measurement import Measurement

Value = Callable[[Measurement], float | None]


def time_of(basis: str) -> Value:
    """Return what time means: the whole training's seconds, or seconds per item."""
    return (lambda m: m.train_seconds) if basis == "training" else (lambda m: m.seconds_per_item)


def cpu_of(measured: Measurement) -> float | None:
    """Return CPU seconds an item within the window."""
    if measured.cpu_seconds is None or not measured.items:
        return None
    return measured.cpu_seconds / measured.items


def memory_of(measured: Measurement) -> float | None:
    """Return the peak memory in bytes."""
    return measured.peak_memory_bytes


def inference_of(items: int) -> Value:
    """Return a function for the deployed model's median seconds on so many items at once."""
    return lambda m: next((median(i.seconds) for i in m.inference if i.items == items), None)


def file_of(measured: Measurement) -> float | None:
    """Return the size of the deployed model's file in bytes."""
    return measured.model_bytes
