"""Which arms the next round measures: those that are open, the soonest decided first. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.claims import judged
from bench.analysis.comparison import compare_run, standing
from bench.analysis.durations import pair_seconds
from bench.analysis.levels import Rule
from bench.records.header import Header
from bench.records.measurement import CONTROL, Measurement, Purpose

CONTROL_PAIRS = 10
"""Pairs of the A/A control: as many as tell how far equal trials differ."""
LEAST_ROUNDS = 2
"""Rounds of a fixed test that every budget has to pay for."""


class Choice(NamedTuple):
    """What the next round measures, and which arms are open beside it for want of budget."""

    measured: list[str]
    left: list[str]


def next_round(
    header: Header, trials: Sequence[Measurement], arms: Sequence[str], number: int, rule: Rule,
    stage: Purpose, spent_seconds: float,
) -> Choice:  # fmt: skip
    """Choose among `arms`, of which `number` rounds are measured; nothing: the stage is over."""
    candidates = [arm for arm in arms if arm != CONTROL]
    if rule.first == rule.most:
        return _fixed(header, arms, number, spent_seconds)
    needs = {arm: _pairs_left(header, trials, arm, rule, stage) for arm in candidates or arms}
    open_ = {arm: left for arm, left in needs.items() if left > 0}
    if header.budget_seconds is None or number < rule.first:
        measured = list(open_)
    else:
        costs = {arm: pair_seconds(trials, arm) for arm in open_}
        measured = affordable(open_, costs, header.budget_seconds - spent_seconds)
    left = [arm for arm in open_ if arm not in measured]
    if measured and candidates and number < CONTROL_PAIRS:
        measured.append(CONTROL)
    return Choice(measured, left)


def affordable(left: dict[str, float], seconds: dict[str, float], budget: float) -> list[str]:
    """Return the arms that a budget can see decided, those that need the fewest pairs first.

    One arm is always worth a pair that still fits.
    """
    chosen: list[str] = []
    for arm in sorted(left, key=lambda arm: (left[arm], arm)):
        need = seconds[arm] * (left[arm] if chosen else 1.0)
        if need <= budget:
            chosen.append(arm)
            budget -= seconds[arm] * left[arm]
    return chosen


def _fixed(header: Header, arms: Sequence[str], number: int, spent_seconds: float) -> Choice:
    budget = header.budget_seconds
    if budget is None or number < LEAST_ROUNDS:
        return Choice([*arms], [])
    over = spent_seconds * (number + 1) / number > budget
    return Choice([], [*arms]) if over else Choice([*arms], [])


def _pairs_left(
    header: Header, trials: Sequence[Measurement], arm: str, rule: Rule, stage: Purpose
) -> float:
    """Return about how many pairs an arm still needs; 0: no more is worth making."""
    if header.claim is not None:
        found = judged(header.claim, compare_run(header, trials, ()), trials)
        measured = any(trial.arm == arm for trial in trials)
        return 1.0 if found.goes_on or not measured else 0.0
    now = standing(header, trials, arm, stage)
    if not now.goes_on:
        return 0.0
    return float(rule.most if now.more_pairs is None else now.more_pairs)


def pays(header: Header, trials: Sequence[Measurement], more: int, spent_seconds: float) -> bool:
    """Tell whether the budget pays for more trials that take what those so far took."""
    if header.budget_seconds is None:
        return True
    seconds = [trial.wall_seconds for trial in trials if trial.wall_seconds is not None]
    usual = math.fsum(seconds) / max(1, len(seconds))
    return spent_seconds + more * usual <= header.budget_seconds
