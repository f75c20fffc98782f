"""Which arms the next round measures: those that are open, the soonest decided first. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from types import MappingProxyType
from typing import NamedTuple

from bench.analysis.claims import judged
from bench.analysis.comparison import aims_of, compare_run
from bench.analysis.durations import likely_seconds, pair_seconds
from bench.analysis.failing import fails_again
from bench.analysis.findings import more_pairs
from bench.analysis.levels import FIRST, Rule
from bench.analysis.margin import screening_margin
from bench.analysis.metric import target_of
from bench.analysis.objectives import OBJECTIVES, basis_of
from bench.analysis.pairs import by_arm, pairs_of, ratios
from bench.analysis.revised import at_stage
from bench.analysis.screening import Screened, Standing, screened
from bench.analysis.standing import standings
from bench.analysis.verdict import Judgement, Verdict
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Measurement, Purpose
from bench.run.plan import Planned
from bench.run.prospects import UNKNOWN, Prospect

CONTROL_PAIRS = 10
"""Pairs of the A/A control: as many as tell how far equal trials differ."""
SHARES: Mapping[Purpose, float] = MappingProxyType({"test": 0.6, "combine": 0.75})
"""Of the budget of a run that confirms, when these stages are over: the rest is for confirming what
they found."""
BEFORE_A_WIN = 0.85
"""Of that budget, when the first stage is over while there is nothing to confirm."""
LEAST = 0.4
"""Of that budget, that a stage may take however long it takes to confirm what it finds."""
CONFIRMING = frozenset({"full-optimization", "ab"})


class Choice(NamedTuple):
    """What the next round measures, and which arms are open beside it for want of budget."""

    measured: list[str]
    left: list[str]


def next_round(
    header: Header, trials: Sequence[Measurement], arms: Sequence[str], number: int, rule: Rule,
    stage: Purpose, spent_seconds: float, won: bool = True,
    expected: Mapping[str, Prospect] = MappingProxyType({}),
) -> Choice:  # fmt: skip
    """Choose among `arms`, of which `number` rounds are measured; nothing: the stage is over.

    What fails twice in the same way is not tried again; what the budget can't see through to a
    first look is given up, the least promising first. Before its first pair an arm takes, and
    gains, what is `expected` of it.
    """
    each = by_arm(trials)
    asked, arms = arms, [arm for arm in arms if not fails_again(each.get(arm, ()), arm)]
    candidates = [arm for arm in arms if arm != CONTROL]
    if fails_again(trials, BASELINE) or (not candidates and set(asked) != set(arms)):
        return Choice([], [])
    left_seconds = left_of(header, trials, stage, spent_seconds, won)
    own = [trial for trial in trials if trial.stage == stage]
    known = pair_seconds(own)
    if rule.first == rule.most:
        return _fixed(arms, known, left_seconds)
    needs = _pairs_left(header, trials, candidates or arms, rule, stage)
    done = decided(header, trials, stage)
    open_ = {arm: left for arm, left in needs.items() if left > 0 and arm not in done}
    costs = {arm: known.get(arm, expected.get(arm, UNKNOWN).seconds) for arm in open_}
    if left_seconds is None:
        measured = list(open_)
    elif number < rule.first:
        hopes = {arm: expected.get(arm, UNKNOWN).promise for arm in open_}
        control = _control_pairs(header, trials, rule, stage) if candidates else 0
        beside = max(0, min(control, rule.first) - number) * expected.get(CONTROL, UNKNOWN).seconds
        rounds, budgets = rule.first - number, (left_seconds - beside, left_seconds)
        found = (promising(own, hopes, costs, rounds, budget) for budget in budgets)
        measured = next(filter(None, found), [])  # the control is worth none without an arm
    else:
        measured = affordable(open_, costs, left_seconds)
    left = [arm for arm in open_ if arm not in measured]
    if measured and candidates and number < _control_pairs(header, trials, rule, stage):
        measured.append(CONTROL)
    return Choice(measured, left)


def _control_pairs(
    header: Header, trials: Sequence[Measurement], rule: Rule, stage: Purpose
) -> int:
    """Return how many pairs of the A/A control a stage makes.

    A screening makes as many as its first look has, as its rounds have more of the baseline's
    trials; what is confirmed after it none.
    """
    if header.screening is None:
        return CONTROL_PAIRS
    if stage == "test":
        return header.screening[0]
    screened_beside = any(trial.arm == CONTROL and trial.stage == "test" for trial in trials)
    return 0 if screened_beside else rule.first


def left_of(
    header: Header, trials: Sequence[Measurement], stage: Purpose, spent_seconds: float,
    won: bool = True,
) -> float | None:  # fmt: skip
    """Return what a stage may still take, given whether any arm has won; None: no budget.

    A stage whose finds are confirmed leaves at least what a first look at one of them takes.
    """
    budget = header.budget_seconds
    if budget is None:
        return None
    share = SHARES.get(stage, 1.0) if header.mode in CONFIRMING else 1.0
    if not won:
        share = max(share, BEFORE_A_WIN)
    until = share * budget
    if stage in SHARES and header.screening is not None:
        until = min(until, max(LEAST * budget, budget - _to_confirm(trials)))
    return until - spent_seconds


def _to_confirm(trials: Sequence[Measurement]) -> float:
    """Return what four fresh pairs of an arm would take, of the one that was quickest so far."""
    whole = [trial for trial in trials if trial.kind == "full" and trial.arm != CONTROL]
    return FIRST * min(pair_seconds(whole).values(), default=0.0)


def has_won(
    header: Header, trials: Sequence[Measurement], arms: Iterable[str], stage: Purpose
) -> bool:
    """Tell whether an arm of a stage has won so far, or is chosen to be confirmed."""
    if header.revisions is not None:
        return False  # only a regression is confirmed, and that ends the stage
    done = decided(header, trials, stage)
    if any(done.get(arm) is Standing.CHOSEN for arm in arms):
        return True
    now = standings(header, trials, arms, stage)
    return any(one.verdict is Verdict.WIN for one in now.values())


def decided(
    header: Header, trials: Sequence[Measurement], stage: Purpose
) -> Mapping[str, Standing]:
    """Return the arms that a screening is done with."""
    found = seen_by(header, trials) if stage == "test" else {}
    return {a: one.standing for a, one in found.items() if one.standing is not Standing.OPEN}


def unsure(header: Header, trials: Sequence[Measurement]) -> list[str]:
    """Return what a screening has chosen without being sure that its gain is worth finding."""
    return [a for a, one in seen_by(header, trials).items()
            if one.standing is Standing.CHOSEN and not one.worth]  # fmt: skip


def seen_by(header: Header, trials: Sequence[Measurement]) -> dict[str, Screened]:
    """Return what a run's screening makes of its arms."""
    margin = screening_margin(header, trials)
    return screened(trials, margin, target_of(header), aims_of(header), header.screening)


def promising(
    trials: Sequence[Measurement], hopes: Mapping[str, float], seconds: Mapping[str, float],
    rounds: int, budget: float,
) -> list[str]:  # fmt: skip
    """Return the arms that so many more rounds can be paid of, those that gain most a second first.

    `hopes` stand for that of arms without a pair. One arm is always worth the first of all.
    """
    if budget <= 0:
        return []
    chosen: list[str] = []
    each = by_arm(trials)
    gained = {
        arm: _promise(each.get(arm, ()), arm, seconds[arm], hope) for arm, hope in hopes.items()
    }
    for arm in sorted(gained, key=lambda arm: (-gained[arm], arm)):
        need = seconds[arm] * rounds
        if need <= budget or not (chosen or each):
            chosen.append(arm)
            budget -= need
    return [arm for arm in gained if arm in chosen]


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


def _fixed(arms: Sequence[str], seconds: Mapping[str, float], left_seconds: float | None) -> Choice:
    """Choose all arms as long as a round of them fits, by what their pairs so far took."""
    need = math.fsum(seconds.get(arm, 0.0) for arm in arms)
    over = left_seconds is not None and (left_seconds <= 0 or need > left_seconds)
    return Choice([], [*arms]) if over else Choice([*arms], [])


def _pairs_left(
    header: Header, trials: Sequence[Measurement], arms: Sequence[str], rule: Rule, stage: Purpose
) -> dict[str, float]:
    """Return about how many pairs each arm still needs; 0: no more is worth making."""
    own = [trial for trial in trials if trial.stage == stage]
    if header.claim is not None:
        claim = judged(header.claim, compare_run(header, trials, ()), trials, header.metric_bounds)
        measured = {trial.arm for trial in trials}
        return {arm: 1.0 if claim.goes_on or arm not in measured else 0.0 for arm in arms}
    if header.audit is not None:
        claimed = more_pairs(header.audit, own, rule, arms, header.metric_bounds)
        return {arm: float(claimed.get(arm, 0)) for arm in arms}
    if header.revisions is not None:
        found = at_stage(header, trials, stage)
        return dict.fromkeys(arms, float(rule.most - found.pairs) if found.goes_on else 0.0)
    needed = {
        arm: _of_standing(now, rule) for arm, now in standings(header, trials, arms, stage).items()
    }
    if stage != "test" or header.screening is None:
        return needed
    each = by_arm(own)  # a screening's last look leaves nothing open
    made = {arm: len(pairs_of(each.get(arm, ()), arm)) for arm in arms}
    return {arm: min(need, max(1.0, rule.most - made[arm])) for arm, need in needed.items()}


def _of_standing(now: Judgement, rule: Rule) -> float:
    if not now.goes_on:
        return 0.0
    return float(rule.most if now.more_pairs is None else now.more_pairs)


def pays(
    trials: Sequence[Measurement], more: Iterable[Planned], left_seconds: float | None
) -> bool:
    """Tell whether what is left pays for more trials, by what their like and their parts took."""
    if left_seconds is None:
        return True
    need = math.fsum(
        likely_seconds(trials, [use.name for use in one.recipe.techniques], one.kind)
        for one in more
    )
    return need <= left_seconds


def _promise(trials: Sequence[Measurement], arm: str, seconds: float, hope: float) -> float:
    """Return the mean log gain of an arm's pairs, a second, in what it gains the most in.

    Without a pair that is what was hoped for.
    """
    pairs = pairs_of(trials, arm)
    if not pairs:
        return hope
    basis = basis_of(pairs[0][1])
    known = [ratios(pairs, row.value(basis)) for row in OBJECTIVES]
    gained = max((fmean(map(math.log, each)) for each in known if each), default=0.0)
    return gained / seconds if seconds else gained
