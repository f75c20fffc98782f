"""What a run's trials so far tell those to come, kept up to date as they come."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.measurement import Measurement
from bench.run.counted import Counted
from bench.run.disturbance import Usual
from bench.run.inference import Pairs


class Told:
    """Of lists that grow: a run's trials that count, and the rehearsals before them."""

    def __init__(self, trials: Sequence[Measurement], rehearsed: Sequence[Measurement]) -> None:
        self.counted = Counted(trials)
        """FLOPs, by recipe."""
        self.rehearsed = Counted(rehearsed)
        """FLOPs that rehearsals counted."""
        self.usual = Usual(trials)
        """What goes on around a trial."""
        self.pairs = Pairs(trials)
        """Trials by arm, with the baseline's beside them."""
