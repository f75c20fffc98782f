"""How an arm that trains in several processes scales: from measurements to numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.figures import Value, middle
from bench.analysis.intervals import Interval
from bench.analysis.results import ArmResult
from bench.records.measurement import Measurement


@dataclass(frozen=True, slots=True)
class Scaling:
    """A group beside one process, the baseline's; by process, medians over its good trials."""

    processes: int
    threads: int
    """Of each."""
    efficiency: Interval | None
    """Time of one process / (processes x time of all): 1 where each adds as much as the first."""
    window_seconds: tuple[float | None, ...]
    """By process; the arm's own times are the slowest one's."""
    memory_bytes: tuple[float | None, ...]
    """Peaks, by process."""
    memory_together_bytes: float | None


def scaling_of(result: ArmResult, trials: Sequence[Measurement]) -> Scaling | None:
    """Return how an arm scales by its good trials; None where it is one process."""
    groups = [trial for trial in trials if trial.processes > 1]
    if not groups:
        return None
    count = groups[-1].processes
    alike = [trial for trial in groups if trial.processes == count]
    return Scaling(
        processes=count,
        threads=alike[-1].ranks[0].threads,
        efficiency=_shared(result.time_ratio, count),
        window_seconds=tuple(middle(alike, _of(n, "window_seconds")) for n in range(count)),
        memory_bytes=tuple(middle(alike, _of(n, "peak_memory_bytes")) for n in range(count)),
        memory_together_bytes=middle(alike, lambda m: m.peak_memory_bytes),
    )


def _shared(ratio: Interval | None, count: int) -> Interval | None:
    if ratio is None:
        return None
    low, middle_, high = ratio
    ends = (None if end is None else end / count for end in (low, high))
    return Interval(next(ends), middle_ / count, next(ends))


def _of(number: int, fact: str) -> Value:
    def told(trial: Measurement) -> float | None:
        found: float | None = getattr(trial.ranks[number], fact)
        return found

    return told
