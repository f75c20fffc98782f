"""Judge two revisions of a user's code by the trials of their run: four answers, each once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from bench.analysis.estimate import Estimate
from bench.analysis.evidence import evidence_of
from bench.analysis.failing import fails_again
from bench.analysis.intervals import LARGEST_LOG, Interval, repeated_interval, t_quantile
from bench.analysis.levels import Rule, boundary, rule_of
from bench.analysis.metric import target_of
from bench.analysis.objectives import basis_of
from bench.analysis.pairs import (
    ONE_SEED,
    Pair,
    failed,
    failures,
    gains,
    has_one_seed,
    pairs_made,
    tells,
    whole,
)
from bench.analysis.power import POWER
from bench.analysis.regression import Change, Row, Seen, last_seen
from bench.analysis.results import Comparison
from bench.records.header import Header
from bench.records.measurement import BASELINE, UNTRIED, Measurement, Purpose
from bench.records.revisions import HEAD, Revisions
from bench.records.text import metric_beside

LEAST_FAILED = 2
"""So many failed trainings of the head, and none that ended well, end a run."""


class Answer(StrEnum):
    """What a run says of a change."""

    REGRESSED = "regressed"
    KEPT = "not regressed"
    IMPROVED = "improved"
    OPEN = "not told"


class Found(NamedTuple):
    """One question: by how much the head is worse, as a share (of the metric, in its unit)."""

    name: str
    limit: float
    worse: Interval
    answer: Answer
    visible: float | None
    """The smallest regression that so many pairs find four times in five."""
    relative: bool = True
    """Whether all these are shares."""
    is_metric: bool = False
    """Then `worse` is what is lost of it, whichever values are better."""


class Revised(NamedTuple):
    """The answer, with what it rests on."""

    answer: Answer
    rows: tuple[Found, ...] = ()
    pairs: int = 0
    confirmed: bool = False
    """Whether the pairs are fresh ones, made after a first regression was seen."""
    reason: str | None = None
    """Why the head could not be measured, or what failed of it."""
    goes_on: bool = False
    """Whether another pair is worth making."""


def revised(header: Header, trials: Sequence[Measurement]) -> Revised:
    """Judge a run as it stands; a regression counts once fresh pairs have confirmed it.

    What is judged to be kept or not needs no such proof: a change that is discarded hurts nobody.
    """
    if crash := _crash(trials):
        return Revised(Answer.REGRESSED, reason=crash)
    first = at_stage(header, trials, "test")
    if first.answer is not Answer.REGRESSED or header.mode == "judge":
        return first
    again = at_stage(header, trials, "confirm")
    if again.pairs:
        return again._replace(confirmed=True)
    return first._replace(answer=Answer.OPEN, goes_on=True, reason="no fresh pair confirms it yet")


def of_head(found: Comparison, told: Revised) -> Comparison:
    """Return a comparison whose arm asks for no more pairs than how much worse it is does."""
    plain = {"more_pairs": None, "needed_margin": None, "goes_on": told.goes_on}
    arms = tuple(result.model_copy(update=plain) for result in found.arms)
    return found.model_copy(update={"arms": arms})


def at_stage(header: Header, trials: Sequence[Measurement], stage: Purpose) -> Revised:
    """Judge by the pairs of one stage alone."""
    asked = header.revisions
    pairs = pairs_made([trial for trial in trials if trial.stage == stage], HEAD)
    good, lost = whole(pairs), [pair for pair in pairs if failed(pair)]
    reason = _failures(lost, pairs) if lost else None
    if not good or asked is None:
        return _not_measured(pairs, [trial for trial in trials if trial.stage == stage])
    rule, rows = rule_of(header, stage), _rows(header, asked, pairs)
    marks = np.array(failures(pairs), float)
    seen = last_seen(rows, rule, asked.alpha, marks) if rows else None
    found = tuple(_found(header, rows, j, seen, rule) for j in range(len(rows)))
    answer, untold = _answer(seen), _untold(header, asked, rows, good)
    hopeless = False
    if has_one_seed(pairs) and any(row.is_metric and row.answer is Answer.OPEN for row in found):
        reason = reason or ONE_SEED
        hopeless = all(row.is_metric or row.answer is not Answer.OPEN for row in found)
    may_gain = stage == "test" and seen is not None and bool(seen.change == Change.OPEN)
    goes_on = len(pairs) < rule.most and bool(rows) and (answer is Answer.OPEN or may_gain)
    goes_on = goes_on and not hopeless
    if untold and answer in (Answer.KEPT, Answer.IMPROVED):
        answer = Answer.OPEN
    reason = reason or untold
    return Revised(answer, found, len(pairs), reason=reason, goes_on=goes_on)


def _not_measured(pairs: Sequence[Pair], trials: Sequence[Measurement]) -> Revised:
    """Judge a stage without a whole pair: trainings of the head that fail, or never end, tell."""
    if lost := [(base, head) for base, head in pairs if base.ok and not head.ok]:
        dead = len(lost) >= LEAST_FAILED
        answer = Answer.REGRESSED if dead else Answer.OPEN
        return Revised(answer, (), len(pairs), reason=_failures(lost, pairs), goes_on=not dead)
    base = next((t for t in trials if t.arm == BASELINE and not t.ok), None)
    reason = f"the base's trainings fail: {base.reason or base.status}" if base else None
    return Revised(Answer.OPEN, reason=reason, goes_on=not fails_again(trials, BASELINE))


def _answer(seen: Seen | None) -> Answer:
    """Return the answer so far; what is kept in everything is so, whether it may gain or not."""
    change = Change.OPEN if seen is None else Change(int(seen.change))
    if change is Change.OPEN and seen is not None and seen.kept.all() and not int(seen.failed):
        return Answer.KEPT
    return {
        Change.OPEN: Answer.OPEN, Change.REGRESSED: Answer.REGRESSED,
        Change.KEPT: Answer.KEPT, Change.IMPROVED: Answer.IMPROVED,
    }[change]  # fmt: skip


def _rows(header: Header, asked: Revisions, pairs: Sequence[Pair]) -> list[Row]:
    """Return a row of each limit, and of the metric, as far as any pair tells."""
    basis, target = basis_of(whole(pairs)[0][1]), target_of(header)
    found = evidence_of(pairs, basis, header.margin, None, target)
    rows = [
        Row(one.name, -one.logs, math.log1p(asked.limits[one.name]), clips=one.ratios)
        for one in found.objectives
        if one.name in asked.limits
    ]
    quality, unmoved = found.quality, _is_unmoved(pairs)
    floor = 0.0 if unmoved else quality.floor  # the same training, bit for bit
    lost = -(np.array(gains(pairs, target), float) if unmoved else quality.differences)
    rows.append(Row(metric_beside(header.metric, asked.limits), lost, header.margin, floor, False))
    return [row for row in rows if np.isfinite(row.worse).any()]


def _untold(
    header: Header, asked: Revisions, rows: Sequence[Row], pairs: Sequence[Pair]
) -> str | None:
    """Say what no whole pair tells of: a limit, or a metric that trials have; None: nothing."""
    known = {row.name for row in rows}
    if missing := [name for name in asked.limits if name not in known]:
        return f"{' and '.join(missing)}, which is limited, was not measured"
    metric = metric_beside(header.metric, asked.limits)
    has = [sum(trial.metric is not None for trial in pair) for pair in pairs]
    if metric in known or not any(has) or _is_unmoved(pairs):
        return None
    if max(has) == len(pairs[0]):
        return f"{metric} can't be told: the base's is 0, and its margin is a share of it"
    return f"{metric} was not measured of both sides"


def _is_unmoved(pairs: Sequence[Pair]) -> bool:
    """Tell whether both sides train the same, bit for bit, to the same metric."""
    return all(b.losses == c.losses != () and b.metric == c.metric for b, c in whole(pairs))


def _found(header: Header, rows: Sequence[Row], place: int, seen: Seen | None, rule: Rule) -> Found:
    row, total = rows[place], rule.alpha / len(rows)
    values = [float(value) for value in row.worse if math.isfinite(value)]
    worse = repeated_interval(values, rule, rule.alpha, row.floor, row.gains and row.clips)
    assert worse is not None  # a row has a value
    own = Answer.OPEN
    if seen is not None and seen.regressed[place]:
        own = Answer.REGRESSED
    elif seen is not None and seen.kept[place]:
        own = Answer.IMPROVED if seen.gained[place] else Answer.KEPT
    visible = None if seen is None else _visible(row, seen.estimates[place], total, rule)
    if not row.gains:
        return Found(row.name, row.limit, worse, own, visible, header.margin_is_relative, True)
    low, high = (None if end is None else _share(end) for end in (worse.low, worse.high))
    shares = Interval(low, _share(worse.middle), high)
    return Found(
        row.name, math.expm1(row.limit), shares, own,
        None if visible is None else _share(visible),
    )  # fmt: skip


def _share(log: float) -> float:
    return math.expm1(min(log, LARGEST_LOG))


def _visible(row: Row, found: Estimate, total: float, rule: Rule) -> float | None:
    """Return the smallest regression that these pairs find four times in five; None: none."""
    known = int(found.known)
    wide = boundary(known, total, rule)
    if not math.isfinite(wide):
        return None
    return row.limit + (wide + t_quantile(POWER, known - 1)) * float(found.error)


def _crash(trials: Sequence[Measurement]) -> str | None:
    """Return why the head was not measured at all, where its rehearsal tells."""
    own = [trial for trial in trials if trial.arm == HEAD and trial.pair < 0]
    told = [trial for trial in own if not trial.ok and trial.status not in UNTRIED]
    return told[0].reason if told else None


def _failures(lost: Sequence[Pair], pairs: Sequence[Pair]) -> str:
    status = str(lost[0][1].status).replace("_", " ")
    return (
        f"{len(lost)} of {sum(map(tells, pairs))} trainings failed where the base's did not "
        f"({status}: {lost[0][1].reason or 'no reason given'})"
    )
