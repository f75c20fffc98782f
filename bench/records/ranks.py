"""What each process took, of a trial that trains in several."""

from __future__ import annotations

from bench.records.schema import Amount, Count, Record, Whole


class Rank(Record):
    """What one process of a group took."""

    threads: Count
    window_seconds: Amount | None = None
    cpu_seconds: Amount | None = None
    peak_memory_bytes: Whole | None = None
    energy_joules: Amount | None = None


class Ranks(Record):
    """The processes of a trial that trains in several of them."""

    ranks: tuple[Rank, ...] = ()
    """In order; none: it was one process. Beside them, times are the slowest one's; memory, CPU
    seconds and threads are those of all."""

    @property
    def processes(self) -> int:
        """Return in how many it trained."""
        return max(1, len(self.ranks))
