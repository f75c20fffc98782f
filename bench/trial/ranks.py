"""Put together what the processes of a group have measured of one trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.records.measurement import Measurement, Surroundings
from bench.records.ranks import Rank

Number = float | int | None


def together(found: Sequence[Measurement]) -> Measurement:
    """Return the measurement of a group, from those of its processes in the order of rank.

    Time is that of the slowest; memory, threads, CPU seconds and energy on GPUs are those of all.
    Items, losses and metrics are of the whole group in each of them, and taken from the first.
    """
    first = found[0]
    slowest = max(found, key=lambda one: one.window_seconds or 0.0)
    changed = {name: getattr(slowest, name) for name in _OF_THE_SLOWEST}
    changed |= {name: _sum(found, name) for name in _OF_ALL}
    if first.device == "cuda":
        changed["energy_joules"] = _sum(found, "energy_joules")
    changed |= {"surroundings": _surroundings(found), "ranks": tuple(map(_rank, found))}
    return first.model_copy(update=changed)


_OF_THE_SLOWEST = (
    "warmup_step_seconds", "step_seconds", "window_seconds", "train_seconds", "phase_seconds",
    "build_seconds", "startup_seconds",
)  # fmt: skip
_OF_ALL = (
    "threads", "cpu_seconds", "base_rss_bytes", "peak_rss_bytes", "end_anonymous_bytes",
    "end_file_bytes", "peak_allocated_bytes", "peak_reserved_bytes",
)  # fmt: skip


def _sum(found: Sequence[Measurement], name: str) -> Number:
    """Return the sum of a fact of all processes; None where one doesn't know it."""
    known: list[float] = [v for one in found if (v := getattr(one, name)) is not None]
    return sum(known) if len(known) == len(found) else None


def _rank(one: Measurement) -> Rank:
    return Rank(
        threads=one.threads, window_seconds=one.window_seconds, cpu_seconds=one.cpu_seconds,
        peak_memory_bytes=one.peak_memory_bytes, energy_joules=one.energy_joules,
    )  # fmt: skip


def _surroundings(found: Sequence[Measurement]) -> Surroundings | None:
    """Return what went on beside the group: to each process, the others seem foreign."""
    known = [one.surroundings for one in found if one.surroundings is not None]
    if not known:
        return None

    def most(tell: Callable[[Surroundings], float | None]) -> float | None:
        return max((v for one in known if (v := tell(one)) is not None), default=None)

    foreign = known[0].foreign_cores
    others = sum((one.cpu_seconds or 0.0) / (one.window_seconds or 1.0) for one in found[1:])
    return Surroundings(
        waited_seconds=most(lambda s: s.waited_seconds),
        foreign_cores=None if foreign is None else max(0.0, foreign - others),
        throttled_seconds=most(lambda s: s.throttled_seconds),
        clock_gap_seconds=max(one.clock_gap_seconds for one in known),
    )
