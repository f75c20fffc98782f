"""Has a change made something worse by more than a limit? Looked at after every pair. Pure.

Each question (time, memory, the metric) is one row of paired values of which more is worse. Bounds
are latched, and their errors hold over all looks (`bench.analysis.levels`): that anything is called
regressed, or improved, which is not; and that a row is called kept that is beyond its limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from bench.analysis.estimate import (
    RATIO_FLOOR,
    Counts,
    Estimate,
    Flags,
    Marks,
    Values,
    bounds,
    counted,
    estimate,
)
from bench.analysis.levels import Rule
from bench.analysis.sequential import LEAST, WORTH, many_failed


class Change(IntEnum):
    """What the pairs so far say of a change."""

    OPEN = 0
    REGRESSED = 1
    KEPT = 2
    """Worse by no more than its limits, and a gain worth finding is excluded."""
    IMPROVED = 3


@dataclass(frozen=True)
class Row:
    """One question: values of each pair, of which more is worse, NaN where unknown."""

    name: str
    worse: Values
    """Logarithms of head / base, or what is lost of the metric."""
    limit: float
    """In the same measure."""
    floor: float = RATIO_FLOOR
    """The least standard deviation believed."""
    gains: bool = True
    """Whether less is a gain; of the metric it is none."""
    clips: bool = True
    """Whether outliers are clipped, where these are ratios."""


@dataclass(frozen=True)
class Seen:
    """What the first `pairs` pairs and the looks before have shown, by row."""

    pairs: int
    estimates: tuple[Estimate, ...]
    regressed: Flags
    kept: Flags
    gained: Flags
    flat: Flags
    """A gain worth finding is excluded."""
    failed: Counts
    told: Counts
    """Of how many pairs it is known whether the head alone failed."""

    @property
    def change(self) -> Counts:
        """Return the `Change` of each run."""
        many = many_failed(self.failed, self.told)
        kept = self.kept.all(0) & (self.failed == 0)
        return np.select(
            [self.regressed.any(0) | many, kept & self.gained.any(0), kept & self.flat.all(0)],
            [Change.REGRESSED, Change.IMPROVED, Change.KEPT], Change.OPEN,
        )  # fmt: skip


def looks(
    rows: Sequence[Row], rule: Rule, gain: float, failed: Marks | None = None
) -> Iterator[Seen]:
    """Yield what is known at every look; leading axes are runs of their own.

    `gain` is the error that is allowed in calling anything improved; `failed` marks pairs whose
    head alone failed.
    """
    shape = (len(rows), *rows[0].worse.shape[:-1])
    regressed, kept, gained, flat = (np.zeros(shape, bool) for _ in range(4))
    marks = np.zeros(rows[0].worse.shape, bool) if failed is None else failed
    gaining = max(1, sum(row.gains for row in rows))
    for n in rule.looks(rows[0].worse.shape[-1]):
        found = [estimate(row.worse[..., :n], row.floor, row.gains and row.clips) for row in rows]
        for j, (row, one) in enumerate(zip(rows, found, strict=True)):
            low, high = bounds(one, rule.alpha, rule)
            regressed[j] |= ~kept[j] & (bounds(one, rule.alpha / len(rows), rule)[0] > row.limit)
            kept[j] |= ~regressed[j] & (high <= row.limit)
            if row.gains:
                gained[j] |= bounds(one, gain / gaining, rule)[1] < -LEAST
                flat[j] |= low > -WORTH
            else:
                flat[j] = True
        flags = (regressed.copy(), kept.copy(), gained.copy(), flat.copy())
        yield Seen(n, tuple(found), *flags, *counted(marks, n))


def changes(
    rows: Sequence[Row], rule: Rule, gain: float, failed: Marks | None = None
) -> tuple[Counts, Counts]:
    """Return the first answer of each run, and after how many pairs it stood."""
    shape = rows[0].worse.shape[:-1]
    given, after = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for seen in looks(rows, rule, gain, failed):
        still = given == Change.OPEN
        given = np.where(still, seen.change, given)
        after = np.where(still, seen.pairs, after)
    return given, after


def last_seen(
    rows: Sequence[Row], rule: Rule, gain: float, failed: Marks | None = None
) -> Seen | None:
    """Return the look of one run at which it was answered, else its last; None before the first."""
    seen = None
    for seen in looks(rows, rule, gain, failed):
        if seen.change != Change.OPEN:
            break
    return seen
