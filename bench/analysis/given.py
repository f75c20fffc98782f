"""Judge a claim by measurements that others made: by pairs, or by the sessions they were made in.

A session (a machine, a day, a rented node) moves all of its values together. Within one session
two arms can be compared, if they took turns in it; over sessions, each is one observation. Two arms
that were measured in sessions of their own differ by the sessions too, and few sessions don't tell
one difference from the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance
from typing import NamedTuple

from bench.analysis.audit import Held, held
from bench.analysis.estimate import RATIO_FLOOR
from bench.analysis.findings import Found
from bench.analysis.intervals import Interval, t_quantile
from bench.analysis.levels import ALPHA, LEAST_PAIRS, Rule
from bench.analysis.quantities import Samples, as_stated, interval_of
from bench.errors import BenchError
from bench.records.audit import Claimed, Form, Stated
from bench.records.given import Row

LEAST_SESSIONS = 3


class Compared(NamedTuple):
    """What a table tells of a claim, by how many observations; or why it tells nothing."""

    found: Interval | None
    by: str
    observations: int
    refused: str = ""


def of_table(claim: Claimed, rows: Sequence[Row]) -> Found:
    """Judge a claim by a table; raise `BenchError` for an arm that is not in it."""
    assert claim.given is not None
    names = dict.fromkeys(row.arm for row in rows)
    asked = (
        [claim.given.after] if claim.form == "value" else [claim.given.before, claim.given.after]
    )
    for arm in asked:
        if arm not in names:
            raise BenchError(f"{claim.given.table} has no arm {arm}; there are: {', '.join(names)}")
    told = compared(claim, [r for r in rows if r.arm == claim.given.before],
                    [r for r in rows if r.arm == claim.given.after])  # fmt: skip
    shown = as_stated(claim, told.found)
    if told.refused:
        return Found(claim, Held.OPEN, told.refused, found=shown, pairs=told.observations)
    answer = held(claim, shown)
    reason = f"by {told.by}"
    if answer is Held.OPEN:
        reason += ": the interval holds what is claimed and what is not; more of them would tell"
    return Found(claim, answer, reason, found=shown, pairs=told.observations)


def compared(claim: Stated, before: Sequence[Row], after: Sequence[Row]) -> Compared:
    """Compare two arms of a table by what it tells: pairs, common sessions, many sessions.

    What is less, or a ratio, is told as the ratio before / after.
    """
    if claim.form == "value":
        return _of_one(claim, after)
    paired = _paired(before, after)
    sessions = _sessions(before), _sessions(after)
    if len(paired) >= LEAST_PAIRS or (paired and not all(sessions)):
        return _by(claim, paired, "pair")
    common = [name for name in sessions[0] if name in sessions[1]]
    if not sessions[0] or not sessions[1]:
        return Compared(None, "", 0, "neither pairs nor sessions are told: a difference between "
                        "sessions can't be told from the claim; it would need both arms measured "
                        f"in the same {LEAST_SESSIONS} or more sessions")  # fmt: skip
    if len(common) < LEAST_SESSIONS and (within := _within(claim, common, before, after)):
        return within
    if common:
        both = [(sessions[0][name], sessions[1][name]) for name in common]
        return _by(claim, both, "session that measured both", "sessions that measured both")
    return _apart(claim, [*sessions[0].values()], [*sessions[1].values()])


def _of_one(claim: Stated, after: Sequence[Row]) -> Compared:
    sessions = [*_sessions(after).values()]
    if len(sessions) < LEAST_SESSIONS:
        seen = {0: "no session is", 1: "one session is"}.get(len(sessions), "two sessions are")
        return Compared(None, "", len(sessions), f"{seen} told: what another would give is not "
                        f"known; it would need {LEAST_SESSIONS} or more")  # fmt: skip
    return Compared(_interval(claim, sessions), f"{len(sessions)} sessions", len(sessions))


def _by(claim: Stated, both: Sequence[tuple[float, float]], one: str, many: str = "") -> Compared:
    found = _interval(claim, [_of(claim.form, b, a) for b, a in both])
    by = f"{len(both)} {one if len(both) == 1 else many or f'{one}s'}"
    if len(both) < LEAST_PAIRS:
        return Compared(found, by, len(both), f"{by}: it would need {LEAST_PAIRS} or more")
    return Compared(found, by, len(both))


def _within(
    claim: Stated, common: Sequence[str], before: Sequence[Row], after: Sequence[Row]
) -> Compared | None:
    """Compare the values of the session that measured both arms most often, if that is enough."""
    own = [([r.value for r in before if r.session == name], [r.value for r in after
            if r.session == name]) for name in common]  # fmt: skip
    one, other = max(own, key=lambda both: min(map(len, both)), default=([], []))
    if min(len(one), len(other)) < LEAST_PAIRS:
        return None
    found = _apart(claim, one, other)
    by = f"{len(one)} and {len(other)} values of one session, if they took turns in it"
    return found._replace(by=by)


def _apart(claim: Stated, before: Sequence[float], after: Sequence[float]) -> Compared:
    """Compare the means of independent values, or of sessions of one arm each (Welch)."""
    least = min(len(before), len(after))
    if least < LEAST_SESSIONS:
        return Compared(None, "", least, "each arm was measured in sessions of its own, "
                        f"{len(before)} before and {len(after)} after: a difference between "
                        "sessions can't be told from the claim; it would need both arms in each "
                        f"session, or {LEAST_SESSIONS} sessions or more of each")  # fmt: skip
    logs = claim.form != "change"
    one, other = ([_log(v) if logs else v for v in own] for own in (before, after))
    gap = fmean(one) - fmean(other) if logs else fmean(other) - fmean(one)
    least_known = RATIO_FLOOR**2 / 2 if logs else 0.0
    errors = [max(variance(own), least_known) / len(own) for own in (one, other)]
    error = math.sqrt(sum(errors))
    spread = sum(e**2 / (n - 1) for e, n in zip(errors, map(len, (one, other)), strict=True))
    degrees = max(1, int(error**4 / spread)) if spread else 1
    half = t_quantile(1 - ALPHA / claim.sides, degrees) * error
    low, middle, high = (_back(end, logs) for end in (gap - half, gap, gap + half))
    by = f"{len(before)} and {len(after)} sessions"
    return Compared(Interval(low, middle, high), by, least)


def _back(end: float, logs: bool) -> float:
    return math.exp(end) if logs else end


def _paired(before: Sequence[Row], after: Sequence[Row]) -> list[tuple[float, float]]:
    """Return the values of pairs that are told: each is of one session, whose pairs it counts.

    Raise `BenchError` where an arm has two values of one pair.
    """
    one, other = _by_pair(before), _by_pair(after)
    return [(one[name], other[name]) for name in one if name in other]


def _by_pair(rows: Sequence[Row]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for row in rows:
        if row.pair and (row.session, row.pair) in found:
            where = f" of session {row.session}" if row.session else ""
            raise BenchError(f"arm {row.arm} has two values of pair {row.pair}{where}: a pair is "
                             "one value of each arm")  # fmt: skip
        if row.pair:
            found[row.session, row.pair] = row.value
    return found


def _sessions(rows: Sequence[Row]) -> dict[str, float]:
    """Return the mean of each session."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.session:
            found.setdefault(row.session, []).append(row.value)
    return {name: fmean(values) for name, values in found.items()}


def _of(form: Form, before: float, after: float) -> float:
    if form == "change":
        return after - before
    return _log(before) - _log(after)


def _log(value: float) -> float:
    if value <= 0:
        raise BenchError(f"a table of ratios holds {value:g}; they are of values above 0: claim a "
                         "change instead")  # fmt: skip
    return math.log(value)


def _interval(claim: Stated, values: Sequence[float]) -> Interval | None:
    rule = Rule(first=len(values), most=len(values))
    logs = claim.form in ("ratio", "less")
    samples = Samples(tuple(values), logs, exact=False, floor=RATIO_FLOOR if logs else 0.0)
    return interval_of(samples, rule, claim.sides)
