"""How much of a run's plan was run."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.failing import fails_again
from bench.analysis.objectives import QUALITY
from bench.analysis.pairs import by_arm
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Measurement, Purpose


def pairs_done(header: Header, judging: Sequence[Measurement]) -> tuple[int, int]:
    """Return how many pairs were run, whatever their outcome, and how many were planned."""
    baseline = {trial.pair for trial in judging if trial.arm == BASELINE}
    others = [trial for trial in judging if trial.arm != BASELINE]
    groups = {(trial.arm, trial.stage) for trial in others if trial.pair >= 0}
    done = {trial.key for trial in others if trial.pair in baseline}
    arms = {arm for arm, _ in groups} - {CONTROL}
    refused = {trial.arm for trial in others if trial.pair < 0}
    if refused and not groups and len(refused) >= len(header.arms):
        return 0, 0  # nothing that was asked for applies
    own = by_arm(judging)
    ended = {arm for arm in arms if fails_again(own[arm], arm)}
    if fails_again(judging, BASELINE) or (arms and ended == arms):
        return len(done), len(done)
    groups = {(arm, stage) for arm, stage in groups if arm not in ended}
    done = {key for key in done if key[1] not in ended}
    stage, asked = _first_judged(header)
    seen = {trial.arm for trial in others if trial.stage == stage}
    asked -= len(seen & ended)
    seen -= ended
    planned = len(groups) + max(0, asked - len(seen))
    return len(done), planned * header.repeats


def _first_judged(header: Header) -> tuple[Purpose, int]:
    """Return the first stage that judges arms, and how many it plans, with the control.

    A search for settings judges none before it confirms what it chose.
    """
    if header.mode == "full-optimization" and QUALITY.name in header.objectives:
        return "confirm", header.raced.get("confirm", 0) + 1
    return "test", sum(1 for arm in header.arms if arm.techniques) + 1
