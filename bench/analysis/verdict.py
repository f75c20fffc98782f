"""Judge a candidate by what its pairs show beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from bench.analysis import objectives
from bench.analysis.estimate import bounds
from bench.analysis.evidence import Evidence, evidence_of
from bench.analysis.levels import Rule
from bench.analysis.objectives import ANY_COST, Basis, Gain, Sought
from bench.analysis.outlook import MOST_ADVISED, Outlook, outlook
from bench.analysis.pairs import Pair, compared_steps, failed, same_losses, tells, whole
from bench.analysis.quality import LEAST_STEPS, Unlike
from bench.analysis.sequential import WORTH_FINDING, Answer, Look, last_look
from bench.baseline import Target
from bench.records.text import amount


class Verdict(StrEnum):
    """What a run says of a candidate."""

    WIN = "win"
    SCREENED = "screened"
    """Would be a win, but was chosen among many: only fresh pairs make it one."""
    OVER_LIMIT = "over the limit"
    """Takes more than the run allows of something."""
    NO_GAIN = "no gain"
    ACCURACY_LOSS = "accuracy loss"
    UNLIKELY = "unlikely"
    """Left by a screening: little speaks for a gain worth finding, which nothing has excluded."""
    UNDECIDED = "undecided"
    BOUNDED = "bounded"
    """Not tried: what it could gain at most is not worth finding."""
    NOT_APPLICABLE = "not applicable"
    FAILED = "failed"


class Judgement(NamedTuple):
    """A verdict with what it rests on."""

    verdict: Verdict
    reason: str
    gains: tuple[Gain, ...] = ()
    """What the bounds show of what is looked for, whatever the verdict."""
    more_pairs: int | None = None
    """About how many more pairs would decide; None when decided, or when that can't be told."""
    needed_margin: float | None = None
    """With which margin the metric would be found kept, where nothing else is open."""
    goes_on: bool = False
    """Whether another pair is worth making."""
    losses_agree: bool = False
    """Whether losses agree as the effect promises: that keeps the quality."""


def judge(
    pairs: Sequence[Pair], basis: Basis, margin: float, rule: Rule, unlike: Unlike | None,
    target: Target, sought: Sought = ANY_COST,
) -> Judgement:  # fmt: skip
    """Judge a candidate by its pairs with the baseline, of which one at least is whole.

    `unlike` is how far the baseline's own losses differ in equal trials; None where they don't:
    only then can an EXACT technique be held to its word.
    """
    good = whole(pairs)
    exact = good[0][1].effect == "exact"
    if exact and unlike is None and same_losses(good) is False:
        return Judgement(Verdict.FAILED, "it declares the effect exact, but the losses differ")
    found = evidence_of(pairs, basis, margin, unlike, target, sought)
    if not found.wanted and found.asked:
        return Judgement(Verdict.UNDECIDED, "nothing that counts was measured of the baseline")
    if not found.wanted:
        reason = "it deploys the model that is trained: nothing that counts could be gained"
        return Judgement(Verdict.NO_GAIN, reason)
    seen = last_look(found.objectives, found.quality, rule, found.failures)
    if seen is None:
        return _too_early(len(pairs), rule)
    gains = _gains(seen, found)
    match Answer(int(seen.answer)):
        case Answer.WIN:
            agree = bool(found.quality.agreed(seen.pairs))
            return Judgement(Verdict.WIN, ", ".join(gains), gains, losses_agree=agree)
        case Answer.LOSS:
            return Judgement(Verdict.ACCURACY_LOSS, _loss(seen, pairs, rule, target), gains)
        case Answer.UNSAFE:
            reason = f"{' and '.join(gains)}, but {_failures(pairs)}"
            return Judgement(Verdict.UNDECIDED, reason, gains)
        case _ if bool(seen.excluded):
            return _flat(seen, found, rule, target, sought.named)
        case _:
            before_us = outlook(seen, found.objectives, found.quality, rule)
            return _open(seen, found, before_us, gains, pairs, rule)


def _flat(seen: Look, found: Evidence, rule: Rule, target: Target, named: bool) -> Judgement:
    """Say that there is no gain; of what was not measured that can't be said.

    Unless it is `named`, only time is missed of what the baseline doesn't tell either.
    """
    told = zip(found.rows, seen.estimates, strict=True)
    known = [row for row, one in told if one.known and row in found.wanted]
    missed = {*found.asked} if named else {*found.wanted, objectives.TIME}
    unknown = [row for row in found.asked if row in missed and row not in known]
    beside, gain = _beside(seen, found), f"a gain of {_worth(found, target)} or more"
    if known and (beside or unknown):
        gain = f"{gain} in {_names(known)}"
    # its interval is wider: the error of a win is shared out among all arms
    sure = f"at {100 * (1 - rule.alpha):.0f} % for this arm alone"
    if not unknown:
        return Judgement(Verdict.NO_GAIN, f"{beside}{gain} is excluded, {sure}")
    excluded = f"{gain} is excluded, but " if known else ""
    reason = f"{beside}{excluded}its {_names(unknown)} is not known"
    return Judgement(Verdict.UNDECIDED, reason)


def _names(rows: Sequence[objectives.Objective]) -> str:
    return " and ".join(row.name for row in rows)


def _worth(found: Evidence, target: Target) -> str:
    """Return which gains are worth finding: of the metric, those of the margin's size."""
    if objectives.QUALITY not in found.rows:
        return f"{100 * (WORTH_FINDING - 1):.0f} %"
    margin = found.quality.margin
    return f"{100 * margin:g} %" if target.relative else f"{margin:g} in {target.metric}"


def _too_early(pairs: int, rule: Rule) -> Judgement:
    left = max(1, rule.first - pairs)
    if pairs == 1:
        reason = _no_interval(pairs, rule)
        return Judgement(Verdict.UNDECIDED, reason, more_pairs=left, goes_on=True)
    kind = "the test is of" if rule.first == rule.most else "the first look is after"
    reason = f"{kind} {rule.first} pairs, and {pairs} were measured"
    return Judgement(Verdict.UNDECIDED, reason, more_pairs=left, goes_on=True)


def _no_interval(known: int, rule: Rule) -> str:
    said = {0: "no pair gives an interval", 1: "one pair gives no interval"}
    return said.get(known, f"{known} pairs give no interval: it takes {rule.least}")


def _gains(seen: Look, found: Evidence, wanted: bool = True) -> tuple[Gain, ...]:
    """Return what the bounds show: gains that the run is after, or the others."""
    every = zip(found.rows, seen.gained, seen.wanted, strict=True)
    return tuple(row.gain for row, shown, own in every if shown and own == wanted)


def _beside(seen: Look, found: Evidence) -> str:
    """Name the gains that the run is not after, before what is said of the others."""
    others = _gains(seen, found, wanted=False)
    return f"{', '.join(others)}, but " if others else ""


def _loss(seen: Look, pairs: Sequence[Pair], rule: Rule, target: Target) -> str:
    if not seen.lost:
        return _failures(pairs)
    fall = -float(bounds(seen.metric, rule.alpha, rule)[1])
    moved = "rose" if target.lower else "fell"
    by = f"{fall:.2%}" if target.relative else amount(fall)
    said = f"the metric {moved} by at least {by} (one-sided, {1 - rule.alpha:.0%})"
    return said.replace("%", " %")


def _failures(pairs: Sequence[Pair]) -> str:
    lost = [pair for pair in pairs if failed(pair)]
    how = str(lost[0][1].status).replace("_", " ")
    return (
        f"{len(lost)} of {sum(map(tells, pairs))} trainings failed where the baseline's did not "
        f"({how}: {lost[0][1].reason or 'no reason given'})"
    )


def _open(
    seen: Look, found: Evidence, before_us: Outlook, gains: tuple[Gain, ...],
    pairs: Sequence[Pair], rule: Rule,
) -> Judgement:  # fmt: skip
    """Say what is open, and whether going on may close it."""
    need, known = before_us.pairs, max(int(one.known) for one in seen.estimates)
    more = max(1, need - seen.pairs) if need is not None and need <= MOST_ADVISED else None
    asked = bool(gains) or objectives.QUALITY in found.rows
    untold = found.untold if asked and not seen.kept else None
    if seen.failed:
        reason = _failures(pairs)
    elif apart := [o.name for o, e in zip(found.objectives, seen.estimates, strict=True)
                   if o.wanted and e.apart is not None and bool(e.apart)]:  # fmt: skip
        reason = (
            f"nodes differ in {' and '.join(apart)}: more of them tell, not more pairs on these"
        )
        more = None
    elif gains and not seen.kept:
        reason = f"{' and '.join(gains)}, but {_unsettled(found, pairs)}"
    elif known < rule.least:
        reason = _no_interval(known, rule)
        more = more or (rule.least - known if known else None)
    else:
        flat = zip(found.objectives, seen.flat, seen.gained, strict=True)
        names = [o.name for o, none, gained in flat if o.wanted and not none and not gained]
        interval = f"the interval of {' and '.join(names)} holds both none and a gain"
        reason = untold or f"{_beside(seen, found)}{interval}"
    return Judgement(
        Verdict.UNDECIDED, reason, gains, more,
        before_us.margin if gains else None,
        goes_on=seen.pairs < rule.most and not before_us.hopeless and untold is None,
    )  # fmt: skip


def _unsettled(found: Evidence, pairs: Sequence[Pair]) -> str:
    """Say why the quality of an arm that gains is open."""
    if found.untold:
        return found.untold
    good, still = whole(pairs), "losses of the metric beyond the margin are not excluded"
    if found.blind:
        return f"{found.blind.said}, and {still}"
    if not found.quality.exact and good[0][1].effect != "exact":
        return still
    steps = compared_steps(good)
    if steps < LEAST_STEPS:
        return f"its losses can be compared over {steps} steps alone; {LEAST_STEPS} are asked for"
    return "its losses differ by more than those of the baseline, which doesn't repeat, itself"
