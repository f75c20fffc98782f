"""Know what a list of trials tells without reading one twice, however often that is asked for.

What every trial asks of all before it would otherwise take time that grows with their square.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from bench.records.measurement import Measurement


class Following(ABC):
    """Reads each trial of a list that only grows, once, before it answers."""

    def __init__(self, trials: Sequence[Measurement]) -> None:
        self._trials, self._read = trials, 0

    def follow(self) -> None:
        """Read the trials that are new."""
        for trial in self._trials[self._read :]:
            self.learn(trial)
        self._read = len(self._trials)

    @abstractmethod
    def learn(self, trial: Measurement) -> None:
        """Keep what the next trial of the list tells."""
