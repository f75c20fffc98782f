"""Pair trials, and compute ratios and differences pair by pair."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.objectives import Value
from bench.records.measurement import BASELINE, CONTROL, Measurement

Pair = tuple[Measurement, Measurement]
"""The baseline's trial and the candidate's, of one seed, run back to back."""


def pairs_of(trials: Sequence[Measurement], arm: str) -> list[Pair]:
    """Return (baseline, candidate) of each pair in which both trials are whole.

    Of an arm that was confirmed in fresh pairs, only those: luck helped the screening choose it.
    """
    whole = {trial.key: trial for trial in trials if trial.ok}
    own = [trial for trial in trials if trial.arm == arm]
    stage = "confirm" if any(t.stage == "confirm" for t in own) and arm != CONTROL else "test"
    wanted = [t for t in own if t.ok and (arm == CONTROL or t.stage == stage)]
    numbers = sorted(t.pair for t in wanted)
    return [(whole[n, BASELINE], whole[n, arm]) for n in numbers if (n, BASELINE) in whole]


def ratios(pairs: Sequence[Pair], value: Value) -> list[float]:
    """Return baseline / candidate of each pair in which both values are known."""
    values = [(value(baseline), value(candidate)) for baseline, candidate in pairs]
    return [b / c for b, c in values if b is not None and c is not None and b > 0 and c > 0]


def differences(pairs: Sequence[Pair]) -> list[float]:
    """Return the metric's candidate - baseline of each pair that has it."""
    return [c.metric - b.metric for b, c in pairs if c.metric is not None and b.metric is not None]


def by_metric(pairs: Sequence[Pair]) -> dict[str, list[float]]:
    """Return candidate - baseline of every metric of the last evaluations that both have."""
    found: dict[str, list[float]] = {}
    for baseline, candidate in pairs:
        if baseline.metrics and candidate.metrics:
            before, after = baseline.metrics[-1].values, candidate.metrics[-1].values
            for name in (name for name in before if name in after):
                found.setdefault(name, []).append(after[name] - before[name])
    return found


def same_losses(pairs: Sequence[Pair]) -> bool | None:
    """Tell whether all losses are bit-equal, over the steps that both of a pair made."""
    if not pairs:
        return None
    return all(
        all(x == y for x, y in zip(b.losses, c.losses, strict=False)) and b.metric == c.metric
        for b, c in pairs
    )
