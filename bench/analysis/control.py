"""The baseline against itself: what equal trials differ by, and how small an effect that shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.analysis.estimate import RATIO_FLOOR, estimate
from bench.analysis.evidence import evidence_of
from bench.analysis.intervals import Interval
from bench.analysis.levels import Rule
from bench.analysis.nodes import ratio_of
from bench.analysis.objectives import Basis, Sought, Value, cpu_of, memory_of, time_of
from bench.analysis.pairs import Pair, ratios, same_losses
from bench.analysis.power import smallest_effect
from bench.analysis.results import Aims, ArmResult, Control
from bench.baseline import Target


def control_of(pairs: Sequence[Pair], rule: Rule) -> Control:
    """Return what the pairs of the A/A control show."""
    alone = replace(rule, arms=1)

    def ratio(value: Value) -> Interval | None:
        return ratio_of(pairs, value, alone, rule.alpha / 2)

    return Control(
        pairs=len(pairs),
        time_ratio=ratio(lambda m: m.seconds_per_item),
        cpu_ratio=ratio(cpu_of),
        memory_ratio=ratio(memory_of),
        same_losses=same_losses(pairs),
    )


def visible_pairs(arms: Sequence[ArmResult], control: Control | None, rule: Rule) -> int:
    """Return in how many pairs an arm of this run would have been found: all, unless cut short."""
    going = [result.pairs for result in arms if result.goes_on]
    if arms:
        return max(going, default=rule.most)
    return control.pairs if control else 0


def visible_effect(
    again: Sequence[Pair], arms: Sequence[ArmResult], rule: Rule, pairs: int, target: Target,
    aims: Aims,
) -> float | None:  # fmt: skip
    """Return the smallest gain that shows, by the noise of the baseline against itself."""
    basis: Basis = "training" if any(result.time_basis == "training" for result in arms) else "step"
    logs = [math.log(ratio) for ratio in ratios(again, time_of(basis))]
    if len(logs) < 2:
        return None
    error = float(estimate(np.array(logs), RATIO_FLOOR, clip=True).error)
    random = evidence_of(again, basis, 0.0, None, target, Sought(aims.counts)).random
    total = rule.of_gain(random)
    return smallest_effect(error * math.sqrt(len(logs)), pairs, total, rule)
