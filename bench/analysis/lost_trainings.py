"""Whether more trainings fail, or run out of time, in one run than did in another."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import NamedTuple

from bench.analysis.levels import ALPHA
from bench.analysis.pairs import matched
from bench.analysis.sequential import FAILED_COUNT, FAILED_SHARE
from bench.records.measurement import BASELINE, CONTROL, UNTRIED, Measurement


class Lost(NamedTuple):
    """How many trainings of an arm were made, and how many gave nothing, or took too long."""

    lost: int
    made: int

    @property
    def share(self) -> float:
        """Return the share that was lost."""
        return self.lost / self.made if self.made else 0.0

    @property
    def words(self) -> str:
        """Return ``2 of 6``, or ``none``."""
        return f"{self.lost} of {self.made}" if self.lost else "none"


def lost_of(trials: Sequence[Measurement], arm: str) -> Lost:
    """Return what was lost of an arm: where its baseline trained, or of the baseline itself."""
    if arm == BASELINE:
        own = [t for t in trials if t.arm in (BASELINE, CONTROL) and t.pair >= 0 and t.judges]
    else:
        own = [candidate for baseline, candidate in matched(trials, arm) if baseline.ok]
    tried = [trial for trial in own if trial.status not in UNTRIED]
    return Lost(sum(not trial.ok for trial in tried), len(tried))


def more_lost(before: Lost, after: Lost) -> bool | None:
    """Tell whether surely more is lost than before; None: it may be.

    Where nothing was, two and a fifth are more, as in any verdict; else it must be beyond chance.
    """
    more = after.share - before.share
    many = after.lost >= FAILED_COUNT and more >= FAILED_SHARE
    if many and (not before.lost or _chance(before, after) <= ALPHA):
        return True
    return None if more > 0 and (not before.lost or more >= FAILED_SHARE) else False


def _chance(before: Lost, after: Lost) -> float:
    """Return how likely so much or more of all that is lost falls after by chance (Fisher)."""
    whole, lost = before.made + after.made, before.lost + after.lost
    ways = sum(
        comb(lost, count) * comb(whole - lost, after.made - count)
        for count in range(after.lost, min(lost, after.made) + 1)
    )
    return ways / comb(whole, after.made)
