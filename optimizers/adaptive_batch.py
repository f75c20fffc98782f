"""Adaptive batch size: find the fastest batch that fits, and train with it.

What:    short step trials, each in a process of its own, at growing batch sizes, until two in a
         row are no faster or one doesn't fit in the memory limit: then the largest that fits is
         bracketed. The one with the highest throughput is used.
Helps:   devices that a small batch does not fill.
Hurts:   quality: at equal epochs a larger batch makes fewer updates; scale the learning rate.
Effect:  learning.
Source:  Smith et al., Don't Decay the Learning Rate, Increase the Batch Size, ICLR 2018; for the
         scaling rules Goyal et al., 2017 (linear) and Krizhevsky, 2014 (square root).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from bench.errors import NotApplicable
from bench.records.measurement import Measurement
from bench.technique import Effect, Probe, SettingsT, Stage, Technique

GIB = 1024**3
DOUBLINGS = 2
"""In a row that gain nothing, after which a larger batch is not tried."""


class AdaptiveBatch(Technique):
    """Set `batch_size` to the fastest one that fits."""

    name: ClassVar[str] = "adaptive-batch"
    stage: ClassVar[Stage] = Stage.SEARCH
    effect: ClassVar[Effect] = Effect.LEARNING

    memory_limit_gib: float | None = Field(
        None, gt=0, description="memory a trial may add; null: what is free"
    )
    largest: int = Field(4096, ge=1, description="no batch above this is tried")
    learning_rate_scaling: Literal["none", "linear", "sqrt"] = Field(
        "none", description="how `lr` follows the batch size"
    )

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Double the batch while that pays and fits, bisect the limit, choose by throughput."""
        start = getattr(settings, "batch_size", None)
        if start is None:
            raise NotApplicable("the baseline has no setting batch_size")
        if start > self.largest:
            raise NotApplicable(f"the batch size {start} is above largest={self.largest}")
        limit = int(self.memory_limit_gib * GIB) if self.memory_limit_gib else None
        tried = self._search(start, lambda size: probe(self._sized(settings, start, size), limit))
        fitting = {size: record for size, record in tried.items() if record.ok}
        if not fitting:
            first = tried[start]
            raise NotApplicable(f"not even a batch of {start} fits: {first.reason}")
        fastest = min(fitting, key=lambda size: fitting[size].seconds_per_item or float("inf"))
        if fastest == start:
            most = "" if len(fitting) == len(tried) else f" (the largest that fits: {max(fitting)})"
            raise NotApplicable(
                f"the batch size {start} is the fastest of {', '.join(map(str, sorted(fitting)))}"
                f"{most}"
            )
        return self._sized(settings, start, fastest)

    def _search(self, start: int, attempt: Callable[[int], Measurement]) -> dict[int, Measurement]:
        """Try sizes up to the largest that works, to within an eighth of it, or that pays.

        No size above what the training part gives in one batch is kept: it would be that batch.
        """
        tried = {start: attempt(start)}
        works = fails = start
        while tried[fails].ok and fails < self.largest and not _levels_off(tried):
            works, fails = fails, min(2 * fails, self.largest)
            tried[fails] = attempt(fails)
            held = _held(tried[fails], tried[start], start)
            if held < fails:
                del tried[fails]
                if held > works:
                    tried[int(held)] = attempt(int(held))
                return tried
        while not tried[fails].ok and fails - works > max(1, works // 8):
            size = (works + fails) // 2
            tried[size] = attempt(size)
            works, fails = (size, fails) if tried[size].ok else (works, size)
        return tried

    def _sized(self, settings: SettingsT, start: int, size: int) -> SettingsT:
        changes: dict[str, float] = {"batch_size": size}
        factor = size / start
        if self.learning_rate_scaling != "none":
            lr = getattr(settings, "lr", None)
            if lr is None:
                raise NotApplicable("the baseline has no setting lr to scale with the batch")
            power = 1.0 if self.learning_rate_scaling == "linear" else 0.5
            changes["lr"] = lr * factor**power
        return settings.model_copy(update=changes)


def _levels_off(tried: Mapping[int, Measurement]) -> bool:
    """Tell whether neither of the two largest sizes is faster than the fastest of the smaller."""
    seconds = [tried[size].seconds_per_item or math.inf for size in sorted(tried)]
    return len(seconds) > DOUBLINGS and min(seconds[-DOUBLINGS:]) >= min(seconds[:-DOUBLINGS])


def _held(record: Measurement, first: Measurement, start: int) -> float:
    """Return of which size a probe's largest batch really was; infinite where it doesn't tell.

    What a baseline counts as items may be others than those of its batches (tokens, say): they are
    taken to be as many of each as in the probe of the first size.
    """
    counts = [one.largest_batch or _mean_batch(one) for one in (record, first)]
    return round(start * counts[0] / counts[1]) if record.ok and all(counts) else math.inf


def _mean_batch(record: Measurement) -> int:
    steps = len(record.step_seconds)
    return math.ceil(record.items / steps) if 0 < steps <= record.items else 0
