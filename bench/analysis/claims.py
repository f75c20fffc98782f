"""Hold the claim of an exported recipe against a new run's measurements: three answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from bench.analysis.claimed_quality import of_quality
from bench.analysis.intervals import Interval, repeated_ratio
from bench.analysis.levels import Rule
from bench.analysis.metric import target_of_claim
from bench.analysis.objectives import BY_NAME, MEMORY, TIME, Basis, Objective
from bench.analysis.out_of_time import clips, log_ratios, time_ratio
from bench.analysis.pairs import (
    Pair,
    failed,
    matched,
    pairs_made,
    pairs_of,
    ratios,
    tells,
    whole,
)
from bench.analysis.proof import Proof, prove
from bench.analysis.results import Comparison
from bench.analysis.sequential import FAILED_COUNT, FAILED_SHARE, LEAST_GAIN
from bench.analysis.verdict import Verdict
from bench.records.claim import Claim
from bench.records.header import Bounds
from bench.records.measurement import BASELINE, CONTROL, Measurement


class Evidence(NamedTuple):
    """What was measured of the recipe that a run verifies; None is unknown."""

    arm: str
    time_ratio: Interval | None
    time_basis: Literal["step", "training"]
    memory_ratio: Interval | None
    metric: Interval | None


class Judged(NamedTuple):
    """What the measurements say of a claim, with a sentence for each part that doesn't hold."""

    answer: Proof
    problems: list[str]
    undecided: list[str]
    goes_on: bool = False
    """Whether more pairs may decide it."""


def evidence(comparison: Comparison) -> Evidence:
    """Return what stands against a claim: of the recipe's arm, or of the baseline beside itself."""
    if comparison.arms:
        result = comparison.arms[0]
        return Evidence(
            result.arm, result.time_ratio, result.time_basis, result.memory_ratio, result.metric
        )
    control, metric = comparison.control, comparison.baseline_metric
    if control is None:
        return Evidence(CONTROL, None, "step", None, metric)
    return Evidence(CONTROL, control.time_ratio, "step", control.memory_ratio, metric)


def held(pairs: Sequence[Pair], row: Objective, basis: Basis, rule: Rule) -> Interval | None:
    """Return a ratio with the bounds by which a claim of it is judged."""
    if row is TIME:
        return time_ratio(pairs, basis, rule, rule.alpha)
    return repeated_ratio(ratios(whole(pairs), row.value(basis)), rule, rule.alpha)


def judged(
    claim: Claim, comparison: Comparison, trials: Sequence[Measurement],
    bounds: Bounds | None = None,
) -> Judged:  # fmt: skip
    """Tell whether a claim holds, is broken, or can't be told yet from the pairs so far.

    A claim is its low bound, and what is no gain is only held against being broken: it needs no
    proof. A baseline is measured against itself, so its metric is compared with what was claimed.
    `bounds` are those of the metric, where it has any.
    """
    measured = evidence(comparison)
    if not (pairs := pairs_of(trials, measured.arm)):
        return _not_measured(comparison, trials)
    problems, undecided = _other_problems(claim, measured, pairs[0][1]), list[str]()
    rule, made = comparison.rule, pairs_made(trials, measured.arm)
    stated = {TIME.name: claim.time_ratio, MEMORY.name: claim.memory_ratio, **claim.other_ratios}
    untold = [
        f"claimed {_a_ratio(name, claimed[0])}, but none was measured"
        for name, claimed in stated.items()
        if claimed is not None and not _is_told(name, made, claim.time_basis)
    ]
    for name, claimed in stated.items():
        if claimed is not None and _is_told(name, made, claim.time_basis):
            proof, said = _ratio(BY_NAME[name], claimed[0], made, claim.time_basis, rule)
            (problems if proof is Proof.BROKEN else undecided).extend(said)
    basis, again = measured.time_basis, matched(trials, CONTROL)
    target = target_of_claim(claim, bounds)
    for proof, said, hopeless in of_quality(claim, made, again, basis, rule, target):
        still = untold if hopeless else undecided
        (problems if proof is Proof.BROKEN else still).extend(said)
    few = len(made) < rule.first or len(pairs) < min(rule.first, rule.least)
    if not undecided and few:  # a claim of no gain asks for nothing else
        undecided.append(f"{len(pairs)} of {rule.first} pairs measured")
    goes_on = bool(undecided) and not problems
    undecided += untold  # no more pairs on this machine tell it
    proof, said = _failures(made)
    (problems if proof is Proof.BROKEN else undecided).extend(said)
    answer = Proof.BROKEN if problems else Proof.OPEN if undecided else Proof.HOLDS
    return Judged(answer, problems, undecided, goes_on and not problems)


def _not_measured(comparison: Comparison, trials: Sequence[Measurement]) -> Judged:
    """Judge a claim of which no pair is whole: one failed training breaks none, nor does none."""
    if lost := _lost_baseline(trials):
        return Judged(Proof.OPEN, [], [f"the baseline itself gives nothing here: {lost}"])
    result = comparison.arms[0] if comparison.arms else None
    if result is None or result.verdict is Verdict.UNDECIDED:
        return Judged(Proof.OPEN, [], ["no whole pair was measured"], goes_on=True)
    said = f"the recipe could not be measured: {result.reason}"
    once = len(matched(trials, result.arm)) < FAILED_COUNT
    failed_once = result.verdict is Verdict.FAILED and once
    if failed_once or result.verdict is not Verdict.FAILED:
        return Judged(Proof.OPEN, [], [said], goes_on=failed_once)
    return Judged(Proof.BROKEN, [said], [])


def _lost_baseline(trials: Sequence[Measurement]) -> str | None:
    """Return why no trial of the baseline succeeded; None where one did, or none was made."""
    own = [trial for trial in trials if trial.arm == BASELINE]
    if not own or any(trial.ok for trial in own):
        return None
    return own[0].reason or str(own[0].status)


def _failures(pairs: Sequence[Pair]) -> tuple[Proof, list[str]]:
    """Tell whether trainings of the recipe fail where the baseline's do not."""
    lost, told = sum(map(failed, pairs)), sum(map(tells, pairs))
    if not lost:
        return Proof.HOLDS, []
    many = lost >= FAILED_COUNT and lost >= FAILED_SHARE * told
    said = f"{lost} of {told} trainings failed where the baseline's did not"
    return (Proof.BROKEN if many else Proof.OPEN), [said]


def _other_problems(claim: Claim, measured: Evidence, trial: Measurement) -> list[str]:
    problems, data = [], trial.data
    if claim.data_sha256 and data and data.sha256 != claim.data_sha256:
        problems.append("the data differs from what was measured; give the same with --data-dir")
    if claim.time_basis != measured.time_basis:
        problems.append(
            f"claimed the time of a {claim.time_basis}, measured that of a {measured.time_basis}"
        )
    return problems


def _is_told(name: str, pairs: Sequence[Pair], basis: Basis) -> bool:
    """Tell whether any pair measured an objective, one that is known here."""
    row = BY_NAME.get(name)
    return row is not None and bool(np.isfinite(log_ratios(pairs, row, basis)).any())


def _a_ratio(what: str, low: float) -> str:
    return f"a{'n' * (what[:1] in 'aeiou')} {what} ratio of at least {low:.3f}"


def _ratio(
    row: Objective, low: float, pairs: Sequence[Pair], basis: Basis, rule: Rule
) -> tuple[Proof, list[str]]:
    logs = log_ratios(pairs, row, basis)
    found = math.exp(float(np.nanmean(logs)))
    proof, _ = prove(logs, math.log(low), rule, clips(row, pairs))
    if proof is Proof.BROKEN:
        return proof, [f"claimed {_a_ratio(row.name, low)}, measured {found:.3f}"]
    if proof is Proof.HOLDS or low <= LEAST_GAIN:
        return Proof.HOLDS, []
    return proof, [f"{row.name} ratio of at least {low:.3f} claimed, {found:.3f} measured so far"]
