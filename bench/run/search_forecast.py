"""What a search for settings would try, and what of it a budget pays for, told before it tries."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.analysis.levels import Rule
from bench.records.ranges import Range


@dataclass(frozen=True, slots=True)
class SearchForecast:
    """A search by one timed training of the baseline; a try's counts as long."""

    ranges: Mapping[str, Range]
    trial_seconds: float
    tries_a_block: int
    """Beside one training of the baseline."""
    most_blocks: int
    finals: int
    """Trainings in which the best are tried again."""
    rule: Rule
    """Of the pairs that confirm the best."""
    share: float
    """Of a budget, that tries."""
    kept: float
    """Of a budget, that confirms."""
    budget_seconds: float | None

    @property
    def combinations(self) -> int | None:
        """Return how many settings the ranges hold; None: without end, of fractions."""
        each = [_size(one) for one in self.ranges.values()]
        return None if None in each else math.prod(size for size in each if size is not None)

    @property
    def block_seconds(self) -> float:
        """Return what a block of tries takes, with its training of the baseline."""
        return (self.tries_a_block + 1) * self.trial_seconds

    @property
    def blocks(self) -> int:
        """Return how many blocks are tried, or paid for."""
        if self.budget_seconds is None or self.block_seconds <= 0:
            return self.most_blocks
        return min(self.most_blocks, int(self.share * self.budget_seconds / self.block_seconds))

    @property
    def tries(self) -> int:
        """Return how many settings are tried in these blocks."""
        return self.tries_a_block * self.blocks

    @property
    def seconds(self) -> float:
        """Return what these blocks take, with the trainings in which the best are tried again."""
        return self.blocks * self.block_seconds + self.finals * self.trial_seconds


def _size(one: Range) -> int | None:
    if one.values:
        return len(one.values)
    assert one.low is not None
    assert one.high is not None
    return int(one.high - one.low) + 1 if one.whole else None
