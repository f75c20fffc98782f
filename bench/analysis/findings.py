"""Judge published claims one by one: by a run's trials, by their own numbers, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.analysis.audit import Held, held, needed
from bench.analysis.formula import evaluated
from bench.analysis.intervals import Interval
from bench.analysis.levels import Rule
from bench.analysis.pairs import ONE_SEED, Pair, has_one_seed, matched, whole
from bench.analysis.quantities import (
    ALL_COUNTED,
    TOLD,
    Samples,
    as_stated,
    interval_of,
    is_of_metric,
    samples_of,
)
from bench.analysis.sequential import FAILED_COUNT, FAILED_SHARE
from bench.errors import BenchError
from bench.records.audit import Claimed, Experiment, Measured
from bench.records.header import Bounds
from bench.records.measurement import BASELINE, UNTRIED, Measurement, Work

MOST_NEEDED = 120
"""Pairs from which on it is hopeless to go on to 30."""
HOPELESS_FROM = 10
MOST_SAID = 1000
"""Pairs of which a number is said: more are a guess."""
POINTS = 33
"""At which a formula is evaluated within an interval: it may rise and fall there."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is said of one claim, and what it rests on."""

    claim: Claimed
    held: Held
    reason: str = ""
    found: Interval | None = None
    """In the form and unit of the claim."""
    measured: Interval | None = None
    """What it was projected from, where it was."""
    pairs: int = 0
    work: Work | None = None
    needs: int | None = None
    """About how many pairs would tell."""
    goes_on: bool = False
    run: str = ""
    """The folder of the run that tells it."""


def of_arithmetic(claim: Claimed) -> Found:
    """Compute what a claim's own numbers give, and hold it against what it says."""
    assert claim.arithmetic is not None
    told = evaluated(claim.arithmetic.formula, claim.arithmetic.numbers)
    own = Interval(told, told, told)
    return Found(claim, held(claim, own), found=own)


def untestable(claim: Claimed, why: str) -> Found:
    """Return that a claim can't be tested here, and why."""
    return Found(claim, Held.UNTESTABLE, why)


def of_trials(
    asked: Experiment, trials: Sequence[Measurement], rule: Rule, over: bool = True,
    metric_bounds: Bounds | None = None,
) -> list[Found]:  # fmt: skip
    """Judge every claim that a run tells; `over`: no more pairs will be made.

    `metric_bounds` are those of the metric that judges, where it has any.
    """
    found = []
    for claim in asked.claims:
        assert claim.measured is not None
        found.append(_of_arm(claim, claim.measured, asked, trials, rule, over, metric_bounds))
    return found


def more_pairs(
    asked: Experiment, trials: Sequence[Measurement], rule: Rule, arms: Sequence[str],
    metric_bounds: Bounds | None = None,
) -> dict[str, int]:  # fmt: skip
    """Return about how many more pairs each arm's open claims need; 0: none is worth making.

    The baseline's own claims are told by the pairs of any arm: of that which goes on the longest,
    or the first.
    """
    own: dict[str, list[Found]] = {}
    for found in of_trials(asked, trials, rule, False, metric_bounds):
        if found.claim.measured is not None:
            own.setdefault(found.claim.measured.arm, []).append(found)
    needs = {arm: _more_pairs(each, rule) for arm, each in own.items()}
    longest = max(arms, key=lambda arm: needs.get(arm, 0), default=BASELINE)
    needs[longest] = max(needs.get(longest, 0), needs.get(BASELINE, 0))
    return needs


def _more_pairs(found: Sequence[Found], rule: Rule) -> int:
    made = max(one.pairs for one in found)
    left = [min(one.needs or rule.most, rule.most) - made for one in found if one.goes_on]
    return max([1, *left]) if left else 0


def _of_arm(
    claim: Claimed, told: Measured, asked: Experiment, trials: Sequence[Measurement], rule: Rule,
    over: bool, metric_bounds: Bounds | None,
) -> Found:  # fmt: skip
    before = told.arm == BASELINE
    made = _each_seed(trials) if before else matched(trials, told.arm)
    pairs = whole(made)
    if not pairs:
        return _nothing(claim, [t for t in trials if t.arm == told.arm])
    samples = samples_of(claim, pairs, metric_bounds)
    found = _looked_at(claim, told, pairs, samples, rule, len(asked.claims), over)
    if found.held is Held.OPEN and is_of_metric(claim) and has_one_seed(pairs):
        found = replace(found, reason=ONE_SEED, needs=None, goes_on=False)
    if not TOLD[claim.quantity or "metric"].exact:
        found = _with_lost(found, len(made) - len(pairs), len(made))
    if before:
        return found
    return replace(found, work=asked.arms[told.arm].work or pairs[-1][1].work)


def _with_lost(found: Found, lost: int, made: int) -> Found:
    """Return a finding with what was lost: many trainings that are lost leave no claim shown.

    Those that ended well are the quick and lucky ones; that they fall short is short all the same.
    """
    if not lost:
        return found
    said = f"{lost} of {made} trainings or pairs gave nothing: they failed, or took too long"
    if lost >= FAILED_COUNT and lost >= FAILED_SHARE * made and found.held is not Held.REFUTED:
        return replace(found, held=Held.OPEN, goes_on=False, needs=None,
                       reason=f"{said}; those that ended well don't speak for them")  # fmt: skip
    return replace(found, reason="; ".join(part for part in (said, found.reason) if part))


def _each_seed(trials: Sequence[Measurement]) -> list[Pair]:
    """Return the baseline's trials as their own counterparts: equal seeds are no replicates.

    A seed of which none ended well stands with one that did not.
    """
    own = {t.seed: t for t in reversed(trials) if t.arm == BASELINE and t.judges}
    own |= {t.seed: t for t in reversed(trials) if t.arm == BASELINE and t.judges and t.ok}
    return [(own[seed], own[seed]) for seed in sorted(own)]


def _nothing(claim: Claimed, own: Sequence[Measurement]) -> Found:
    refused = next((trial for trial in own if trial.status in UNTRIED), None)
    if refused is not None:
        return Found(claim, Held.UNTESTABLE, refused.reason or "it does not apply here")
    lost = next((trial for trial in own if not trial.ok), None)
    if lost is None:
        return Found(claim, Held.OPEN, "no pair was measured", goes_on=True)
    reason = f"{str(lost.status).replace('_', ' ')}: {lost.reason or 'no reason given'}"
    return Found(claim, Held.OPEN, reason, goes_on=len(own) < 2)


def _looked_at(
    claim: Claimed, told: Measured, pairs: Sequence[Pair], samples: Samples, rule: Rule,
    claims: int, over: bool,
) -> Found:  # fmt: skip
    """Look after every pair that is to be looked at: what one look has shown stays."""
    if not samples.values:
        return Found(claim, Held.UNTESTABLE, _untold(claim, pairs), pairs=len(pairs))
    if told.formula is None and samples.beyond(claim):
        reason = "claimed of a share of the test items, which lies in 0 to 1: write 98 % as 0.98"
        return Found(claim, Held.UNTESTABLE, reason, pairs=len(pairs))
    sides = claims * claim.sides  # a true claim may be missed on each side: they share the error
    looks = [len(samples.values)] if samples.exact else [*rule.looks(len(samples.values))]
    answer, shown, measured, at = Held.OPEN, None, None, len(samples.values)
    for n in looks or [len(samples.values)]:
        part = replace_values(samples, n)
        measured = as_stated(claim, interval_of(part, rule, sides))
        try:
            shown = projected(told, measured)
        except BenchError as error:
            return Found(claim, Held.UNTESTABLE, str(error), measured=measured, pairs=n)
        last = n == rule.most or (over and n == len(samples.values))
        answer, at = held(claim, shown, last), n
        if answer is not Held.OPEN:
            break
    return _open_or_not(Found(
        claim, answer, found=shown, measured=measured if told.formula else None, pairs=at,
    ), rule, bool(looks))  # fmt: skip


def _untold(claim: Claimed, pairs: Sequence[Pair]) -> str:
    """Say why no pair tells what a claim is of."""
    shares = [t.flops_coverage for pair in pairs for t in pair if t.flops_coverage is not None]
    if "FLOPs" in (claim.quantity or "") and shares and min(shares) < ALL_COUNTED:
        return f"{claim.quantity} are counted of {100 * min(shares):.0f} % of the work alone"
    if claim.of:
        known = {name for _, t in pairs for e in t.metrics[-1:] for name in e.values}
        return f"no metric is named {claim.of}; there are: {', '.join(sorted(known)) or 'none'}"
    return f"no trial tells its {claim.quantity}"


def replace_values(samples: Samples, count: int) -> Samples:
    """Return the first so many samples."""
    return samples._replace(values=samples.values[:count])


def _open_or_not(found: Found, rule: Rule, looked: bool) -> Found:
    if found.held is not Held.OPEN:
        return found
    if not looked:
        reason = f"the first look is after {rule.first} pairs, and {found.pairs} were measured"
        return replace(found, reason=reason, goes_on=True)
    need = needed(found.claim, found.found, found.pairs)
    hopeless = found.pairs >= HOPELESS_FROM and (need is None or need > MOST_NEEDED)
    more = f"about {need:,} pairs would tell" if need else "no number of pairs like these would"
    if need and need > MOST_SAID:
        more = f"it would take more than {MOST_SAID:,} pairs to tell"
    reason = f"the interval holds what is claimed and what is not; {more}"
    return replace(
        found, reason=reason, needs=need, goes_on=found.pairs < rule.most and not hopeless
    )


def projected(told: Measured, found: Interval | None) -> Interval | None:
    """Return what a formula makes of an interval: the least and the largest of it within.

    Raise `BenchError` where it can't be computed of a value there.
    """
    if told.formula is None or found is None:
        return found
    low, middle, high = found
    if low is None or high is None:
        return Interval(None, _projected(told, middle), None)
    within = [low + (high - low) * part / (POINTS - 1) for part in range(POINTS)]
    values = [_projected(told, value) for value in (*within, low, middle, high)]
    return Interval(min(values), _projected(told, middle), max(values))


def _projected(told: Measured, value: float) -> float:
    return evaluated(told.formula or "", {**told.numbers, "measured": value})
