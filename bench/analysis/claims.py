"""Hold the claim of an exported recipe against a new run's measurements: three answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from bench.analysis.evidence import Evidence as Shown
from bench.analysis.evidence import evidence_of
from bench.analysis.grid import floor_of
from bench.analysis.intervals import Interval, repeated_interval, repeated_ratio
from bench.analysis.levels import Rule
from bench.analysis.metric import target_of_claim
from bench.analysis.objectives import BY_NAME, MEMORY, TIME, Basis, Objective
from bench.analysis.out_of_time import clips, log_ratios, time_ratio
from bench.analysis.pairs import (
    Pair,
    compared_steps,
    failed,
    gains,
    matched,
    pairs_of,
    ratios,
    unlike,
    whole,
)
from bench.analysis.proof import Proof, prove, prove_better
from bench.analysis.quality import LEAST_STEPS
from bench.analysis.results import Comparison
from bench.analysis.sequential import FAILED_COUNT, FAILED_SHARE, LEAST_GAIN, look
from bench.analysis.verdict import Verdict
from bench.records.claim import Claim
from bench.records.measurement import BASELINE, CONTROL, Measurement
from bench.records.text import amount


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


def judged(claim: Claim, comparison: Comparison, trials: Sequence[Measurement]) -> Judged:
    """Tell whether a claim holds, is broken, or can't be told yet from the pairs so far.

    A claim is its low bound, and what is no gain is only held against being broken: it needs no
    proof. A baseline is measured against itself, so its metric is compared with what was claimed.
    """
    measured = evidence(comparison)
    pairs = pairs_of(trials, measured.arm)
    if not pairs:
        return _not_measured(comparison, trials)
    problems = _other_problems(claim, measured, pairs[0][1])
    undecided: list[str] = []
    rule = comparison.rule
    made = matched(trials, measured.arm)
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
    if claim.verdict != BASELINE:
        proof, said = _quality(claim, trials, measured, rule)
        (problems if proof is Proof.BROKEN else undecided).extend(said)
    proof, said = _better(claim, pairs, rule)
    (problems if proof is Proof.BROKEN else undecided).extend(said)
    proof, said = _metric(claim, pairs, rule)
    (problems if proof is Proof.BROKEN else undecided).extend(said)
    if not undecided and len(pairs) < rule.first:  # a claim of no gain asks for nothing else
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
    failed_once = result.verdict is Verdict.FAILED and sum(result.statuses.values()) < FAILED_COUNT
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
    lost = sum(map(failed, pairs))
    if not lost:
        return Proof.HOLDS, []
    many = lost >= FAILED_COUNT and lost >= FAILED_SHARE * len(pairs)
    said = f"{lost} of {len(pairs)} trainings failed where the baseline's did not"
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
    logs = logs[np.isfinite(logs)]
    found = math.exp(float(logs.mean()))
    proof, _ = prove(logs, math.log(low), rule, clips(row, pairs))
    if proof is Proof.BROKEN:
        return proof, [f"claimed {_a_ratio(row.name, low)}, measured {found:.3f}"]
    if proof is Proof.HOLDS or low <= LEAST_GAIN:
        return Proof.HOLDS, []
    return proof, [f"{row.name} ratio of at least {low:.3f} claimed, {found:.3f} measured so far"]


def _quality(
    claim: Claim, trials: Sequence[Measurement], measured: Evidence, rule: Rule
) -> tuple[Proof, list[str]]:
    """Tell whether the metric is kept beside the baseline's, seed by seed.

    Where no metric was claimed, whether the losses agree as the techniques' effect promises.
    """
    pairs = matched(trials, measured.arm)
    own = unlike(matched(trials, CONTROL))
    found = evidence_of(pairs, measured.time_basis, claim.margin, own, target_of_claim(claim))
    if claim.metric is None:
        return _losses(pairs, found)
    kept = lost = False
    for seen in look(found.objectives, found.quality, rule, found.failed):
        kept, lost = bool(seen.kept), bool(seen.lost)
    if kept:
        return Proof.HOLDS, []
    moved = "rose" if target_of_claim(claim).lower else "fell"
    how = f"{moved} by more than" if lost else "is not shown to be within"
    margin = f"{100 * claim.margin:g} %" if claim.margin_is_relative else f"{claim.margin:g}"
    said = [f"{claim.metric_name} {how} the margin of {margin} beside the baseline's"]
    return (Proof.BROKEN if lost else Proof.OPEN), said


def _losses(pairs: Sequence[Pair], found: Shown) -> tuple[Proof, list[str]]:
    """Tell whether all pairs' losses agree, where the effect promises that they do."""
    if found.quality.agree is None or bool(found.quality.agree.all()):
        return Proof.HOLDS, []
    steps = compared_steps(whole(pairs))
    if steps < LEAST_STEPS:
        said = f"losses can be compared over {steps} steps alone; {LEAST_STEPS} are asked for"
        return Proof.OPEN, [said]
    apart = int((~found.quality.agree).sum())
    how = "are not the baseline's, bit for bit" if found.quality.exact else "are too far from it"
    return Proof.BROKEN, [f"claimed the baseline's training, but losses {how}, in {apart} of "
                          f"{len(pairs)} pairs"]  # fmt: skip


def _better(claim: Claim, pairs: Sequence[Pair], rule: Rule) -> tuple[Proof, list[str]]:
    """Tell whether the metric is better than the baseline's by what was claimed, at the least."""
    if claim.quality_gain is None:
        return Proof.HOLDS, []
    target, low = target_of_claim(claim), claim.quality_gain[0]
    unit = "%" if target.relative else ""
    scale = 100 if target.relative else 1
    said = f"claimed {claim.metric_name} better by at least {scale * low:.4g}{unit}"
    own = gains(pairs, target)
    if not own:
        return Proof.BROKEN, [f"{said}, but none was measured"]
    floor = floor_of([trial for pair in pairs for trial in pair], target.relative)
    proof = prove_better(np.array(own), low, floor, rule)
    if proof is Proof.HOLDS:
        return proof, []
    return proof, [f"{said}, measured {scale * math.fsum(own) / len(own):.4g}{unit}"]


def _metric(claim: Claim, pairs: Sequence[Pair], rule: Rule) -> tuple[Proof, list[str]]:
    """Tell whether the metric is surely below what was claimed of it: few seeds tell nothing."""
    if claim.metric is None:
        return Proof.HOLDS, []
    target, values = target_of_claim(claim), [c.metric for _, c in pairs if c.metric is not None]
    sign, end = (-1, claim.metric[2]) if target.lower else (1, claim.metric[0])
    said = f"claimed {claim.metric_name} of at {'most' if target.lower else 'least'} {amount(end)}"
    if not values:
        return Proof.BROKEN, [f"{said}, but none was measured"]
    better = [sign * value for value in values]
    floor = floor_of([candidate for _, candidate in pairs])
    looks = rule.looks(len(values))
    found = [repeated_interval(better[:n], rule, rule.alpha, floor) for n in looks]
    reached = [one.high for one in found if one and one.high is not None]
    if not reached:
        seeds = f"{len(values)} seed{'s' * (len(values) > 1)}"
        return Proof.OPEN, [f"{claim.metric_name} is not bounded by {seeds}"]
    reach = min(reached) + claim.margin * (abs(end) if target.relative else 1)
    if sign * end <= reach:
        return Proof.HOLDS, []
    measured = f"measured {amount(math.fsum(values) / len(values))}"
    most = f"at {'least' if target.lower else 'most'} {amount(sign * reach)} with the margin"
    return Proof.BROKEN, [f"{said}, {measured} ({most})"]
