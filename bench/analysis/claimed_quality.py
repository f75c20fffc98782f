"""Hold what a claim says of quality against a new run's pairs: by the metric, or by losses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from bench.analysis.evidence import Evidence, evidence_of
from bench.analysis.grid import floor_of
from bench.analysis.intervals import repeated_interval
from bench.analysis.levels import Rule
from bench.analysis.objectives import Basis
from bench.analysis.pairs import (
    ONE_SEED,
    Pair,
    compared_steps,
    gains,
    has_one_seed,
    once,
    same_losses,
    unlike,
    whole,
)
from bench.analysis.proof import Proof, prove_better
from bench.analysis.quality import LEAST_STEPS
from bench.analysis.sequential import look
from bench.baseline import Target
from bench.records.claim import Claim
from bench.records.measurement import BASELINE
from bench.records.text import amount

Part = tuple[Proof, list[str]]
"""What is said of one part of a claim, with a sentence where it doesn't hold."""


def of_quality(
    claim: Claim, pairs: Sequence[Pair], again: Sequence[Pair], basis: Basis, rule: Rule,
    target: Target,
) -> Iterator[tuple[Proof, list[str], bool]]:  # fmt: skip
    """Yield what is said of each part, and whether no more pairs can say more.

    `again` are the pairs of the baseline with itself.
    """
    if claim.verdict != BASELINE:
        found = evidence_of(pairs, basis, claim.margin, unlike(again), target)
        repeats = same_losses(whole(again)) is True
        yield *_quality(claim, pairs, found, rule, target, repeats), found.untold is not None
    for told in (_better, _metric):
        yield *told(claim, pairs, rule, target), has_one_seed(pairs)


def _quality(
    claim: Claim, pairs: Sequence[Pair], found: Evidence, rule: Rule, target: Target, repeats: bool
) -> Part:
    """Tell whether the metric is kept beside the baseline's, seed by seed.

    Where no metric was claimed, whether the losses agree as the techniques' effect promises, if
    they tell anything.
    """
    if claim.metric is None and not found.blind:
        return _losses(pairs, found, rule, repeats)
    kept = lost = False
    for seen in look(found.objectives, found.quality, rule, found.failures):
        kept, lost = bool(seen.kept), bool(seen.lost)
    if kept:
        return Proof.HOLDS, []
    moved = "rose" if target.lower else "fell"
    how = f"{moved} by more than" if lost else "is not shown to be within"
    margin = f"{100 * claim.margin:g} %" if claim.margin_is_relative else f"{claim.margin:g}"
    said = f"{claim.metric_name} {how} the margin of {margin} beside the baseline's"
    if lost:
        return Proof.BROKEN, [said]
    why = found.untold or (found.blind.said if found.blind else None)
    return Proof.OPEN, [f"{said}: {why}" if why else said]


def _losses(pairs: Sequence[Pair], found: Evidence, rule: Rule, repeats: bool) -> Part:
    """Tell whether the pairs' losses agree, where the effect promises that they do.

    One pair breaks the claim of an exact recipe beside a baseline that `repeats` bit for bit. Else
    chance moves losses, too: few pairs break none, nor do any where chance may move them by more
    than they are held to.
    """
    if found.quality.agree is None or bool(found.quality.agreed(len(pairs))):
        return Proof.HOLDS, []
    steps = compared_steps(whole(pairs))
    if steps < LEAST_STEPS:
        said = f"losses can be compared over {steps} steps alone; {LEAST_STEPS} are asked for"
        return Proof.OPEN, [said]
    apart, told = int((found.quality.agree == 0).sum()), len(whole(pairs))
    how = "are not the baseline's, bit for bit" if found.quality.exact else "are too far from it"
    said = f"claimed the baseline's training, but losses {how}, in {apart} of {told} pairs"
    enough = len(pairs) >= rule.first and told >= rule.least and not found.strict
    if (found.quality.exact and repeats) or enough:
        return Proof.BROKEN, [said]
    return Proof.OPEN, [f"{said} so far"]


def _better(claim: Claim, pairs: Sequence[Pair], rule: Rule, target: Target) -> Part:
    """Tell whether the metric is better than the baseline's by what was claimed, at the least."""
    if claim.quality_gain is None:
        return Proof.HOLDS, []
    low, unit = claim.quality_gain[0], "%" if target.relative else ""
    scale = 100 if target.relative else 1
    said = f"claimed {claim.metric_name} better by at least {scale * low:.4g}{unit}"
    own = np.where(once(pairs), gains(pairs, target), np.nan)
    if not np.isfinite(own).any():
        return Proof.BROKEN, [f"{said}, but none was measured"]
    trials = [trial for pair in pairs for trial in pair]
    floor = floor_of(trials, target.relative, target.bounds)
    proof = prove_better(own, low, floor, rule)
    if proof is Proof.HOLDS:
        return proof, []
    return proof, [f"{said}, measured {scale * float(np.nanmean(own)):.4g}{unit}"]


def _metric(claim: Claim, pairs: Sequence[Pair], rule: Rule, target: Target) -> Part:
    """Tell whether the metric is surely below what was claimed of it: few seeds tell nothing."""
    if claim.metric is None:
        return Proof.HOLDS, []
    values = [
        _metric_in(p) if first else math.nan for p, first in zip(pairs, once(pairs), strict=True)
    ]
    sign, end = (-1, claim.metric[2]) if target.lower else (1, claim.metric[0])
    said = f"claimed {claim.metric_name} of at {'most' if target.lower else 'least'} {amount(end)}"
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return Proof.BROKEN, [f"{said}, but none was measured"]
    better = [sign * value for value in values]
    floor = floor_of([candidate for _, candidate in pairs], bounds=target.bounds)
    looks = rule.looks(len(values))
    found = [repeated_interval(better[:n], rule, rule.alpha, floor) for n in looks]
    reached = [one.high for one in found if one and one.high is not None]
    alone = not reached and has_one_seed(pairs)
    if not reached and not alone:
        seeds = f"{len(known)} seed{'s' * (len(known) > 1)}"
        return Proof.OPEN, [f"{claim.metric_name} is not bounded by {seeds}"]
    reach = min(reached, default=max(sign * value for value in known)) + claim.margin * (
        abs(end) if target.relative else 1
    )
    if sign * end <= reach:
        return Proof.HOLDS, []
    if alone:
        return Proof.OPEN, [f"{said}, but {ONE_SEED}"]
    measured = f"measured {amount(math.fsum(known) / len(known))}"
    most = f"at {'least' if target.lower else 'most'} {amount(sign * reach)} with the margin"
    return Proof.BROKEN, [f"{said}, {measured} ({most})"]


def _metric_in(pair: Pair) -> float:
    metric = pair[1].metric
    return math.nan if metric is None else metric
