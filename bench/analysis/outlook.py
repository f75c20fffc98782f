"""What would answer an open arm: in about how many pairs, or with which margin; or nothing here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.analysis.estimate import Estimate
from bench.analysis.levels import LEAST_PAIRS, Rule, boundary
from bench.analysis.sequential import Look, Objective, Quality

HOPE_FROM = 8
"""Pairs before which no arm is called hopeless."""
HOPE = 0.6
"""The share of the last boundary that t, as it grows now, must be expected to reach."""


MOST_ADVISED = 1000
"""More pairs than this are no advice."""


class Question(NamedTuple):
    """One thing to be shown: how far t has come, and how far it has to."""

    name: str
    t: float
    values: int
    total: float
    clipped: bool
    answered: bool
    more: int = 0
    """Degrees of freedom beside those of the values."""


class Outlook(NamedTuple):
    """What lies before an open arm."""

    open: tuple[str, ...]
    """The objectives, or "quality", that the nearest answer still needs."""
    pairs: int | None
    """About how many pairs in all the nearest answer needs; None where that can't be told."""
    margin: float | None
    """With which margin the last look would find the quality kept, where that is what is open."""
    hopeless: bool
    """Whether no answer is to be expected by the last look."""


def outlook(seen: Look, objectives: Sequence[Objective], quality: Quality, rule: Rule) -> Outlook:
    """Return what lies before one open run."""
    ways = _ways(seen, objectives, quality, rule)
    best = min(ways, key=lambda way: max(_pairs_needed(q, rule) for q in way))
    need = max(_pairs_needed(question, rule) for question in best)
    lasting = rule.first < rule.most and seen.pairs >= HOPE_FROM
    return Outlook(
        open=tuple(question.name for question in best if not question.answered),
        pairs=math.ceil(need) if math.isfinite(need) else None,
        margin=_margin_needed(seen, rule) if bool(seen.gained[seen.wanted].any()) else None,
        hopeless=lasting and not any(all(_hopeful(q, rule) for q in way) for way in ways),
    )


def _ways(
    seen: Look, objectives: Sequence[Objective], quality: Quality, rule: Rule
) -> list[list[Question]]:
    """Return the questions of each way to an answer: a win, no gain, a loss."""
    total = rule.of_gain(sum(not o.deterministic for o in objectives))
    every = zip(objectives, seen.estimates, seen.gained, seen.flat, strict=True)
    rows = [row for row in every if row[0].wanted]
    margin = -quality.margin
    kept = _question("quality", seen.metric, margin, 1, rule.alpha, bool(seen.kept))
    lost = _question("quality", seen.metric, margin, -1, rule.alpha, False)
    flats = [_question(o.name, e, o.worth, -1, rule.alpha, bool(flat)) for o, e, _, flat in rows]
    gains = [_question(o.name, e, o.least, 1, total, bool(gained)) for o, e, gained, _ in rows]
    gain = min(gains, key=lambda question: _pairs_needed(question, rule))
    ways = [[lost]]
    if not seen.failed:
        ways.insert(0, [gain, kept])
    if not gain.answered:
        ways.append(flats)
    return ways


def _question(
    name: str, found: Estimate, threshold: float, sign: int, total: float, answered: bool
) -> Question:
    distance, error = sign * (float(found.mean) - threshold), float(found.error)
    if error == 0:
        t = math.copysign(math.inf, distance)
    else:
        t = distance / error if math.isfinite(error) else -math.inf
    return Question(name, t, int(found.known), total, found.clipped, answered, found.more)


def _pairs_needed(question: Question, rule: Rule) -> float:
    """Return at how many pairs t is expected to be large enough; inf: never."""
    if question.answered:
        return question.values
    if not question.t > 0:
        return math.inf
    if rule.first == rule.most:
        return _in_a_fixed_test(question)
    for pairs in range(max(question.values, rule.first), rule.most + 1):
        if _grown(question, pairs) > _enough(question, pairs, rule):
            return pairs
    return question.values * (_last(question, rule) / question.t) ** 2


def _in_a_fixed_test(question: Question) -> float:
    """Return how many pairs a test of a fixed number would need; inf: more than are advised."""
    from scipy.special import stdtrit

    counts = np.arange(LEAST_PAIRS, MOST_ADVISED + 1)
    grown = question.t * np.sqrt(counts / max(1, question.values))
    enough = np.flatnonzero(grown > stdtrit(counts - 1.0 + question.more, 1 - question.total))
    return float(counts[enough[0]]) if len(enough) else math.inf


def _hopeful(question: Question, rule: Rule) -> bool:
    return question.answered or _grown(question, rule.most) >= HOPE * _last(question, rule)


def _grown(question: Question, pairs: int) -> float:
    """Return t as it would be of more pairs like these."""
    return question.t * math.sqrt(pairs / max(1, question.values))


def _last(question: Question, rule: Rule) -> float:
    return _enough(question, rule.most, rule)


def _enough(question: Question, pairs: int, rule: Rule) -> float:
    """Return how large t of so many pairs must be."""
    return boundary(pairs, question.total, rule, question.clipped, question.more)


def _margin_needed(seen: Look, rule: Rule) -> float | None:
    error, count = float(seen.metric.error), int(seen.metric.known)
    if not math.isfinite(error) or bool(seen.kept):
        return None
    wide = boundary(rule.most, rule.alpha, rule, more=seen.metric.more)
    if not math.isfinite(wide):  # of two pairs no margin is told
        return None
    return max(0.0, wide * error * math.sqrt(count / rule.most) - float(seen.metric.mean))
