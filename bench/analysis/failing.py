"""Arms that fail for good: not worth another trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.records.measurement import BASELINE, UNTRIED, Measurement

TWICE = 2


def fails_again(trials: Sequence[Measurement], arm: str) -> bool:
    """Tell whether an arm has failed twice in the same way, and never ended well.

    `trials` are its own and the baseline's beside them: where that gave nothing, or has not run
    yet, a failure says nothing of the arm.
    """
    own = [trial for trial in trials if trial.arm == arm and trial.pair >= 0]
    if any(trial.ok for trial in own):
        return False
    if arm != BASELINE:
        trained = {trial.pair for trial in trials if trial.arm == BASELINE and trial.ok}
        own = [trial for trial in own if trial.pair in trained]
    ways = Counter((t.status, t.reason) for t in own if t.status not in UNTRIED)
    return max(ways.values(), default=0) >= TWICE
