"""Tell which trials time the deployed model: where it differs, as long as that is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.analysis.comparison import aims_of
from bench.analysis.evidence import random_in
from bench.analysis.intervals import repeated_ratio
from bench.analysis.levels import Rule, rule_of
from bench.analysis.objectives import BY_NAME, Objective
from bench.analysis.pairs import pairs_of, ratios
from bench.analysis.sequential import LEAST_GAIN, WORTH_FINDING
from bench.records.header import Header
from bench.records.measurement import BASELINE, Measurement, Purpose
from bench.run.following import Following
from bench.run.plan import Planned

LATENCY = BY_NAME["inference time"]


class Pairs(Following):
    """Trials by arm, each with those of the baseline that it is paired with."""

    def __init__(self, trials: Sequence[Measurement]) -> None:
        super().__init__(trials)
        self._own: dict[str, list[Measurement]] = {}
        self._baselines: dict[int, Measurement] = {}

    def own(self, arm: str) -> Sequence[Measurement]:
        """Return the trials of an arm."""
        self.follow()
        return self._own.get(arm, ())

    def of(self, arm: str, stage: Purpose) -> list[Measurement]:
        """Return a stage's trials of an arm and, before each, the baseline's of its pair."""
        own = [trial for trial in self.own(arm) if trial.stage == stage]
        beside = [self._baselines[t.pair] for t in own if t.pair in self._baselines]
        return [*beside, *own]

    def learn(self, trial: Measurement) -> None:
        """Keep a trial where it is looked for."""
        self._own.setdefault(trial.arm, []).append(trial)
        if trial.arm == BASELINE:
            self._baselines[trial.pair] = trial


def times_inference(planned: Planned, pairs: Pairs, header: Header) -> bool:
    """Tell whether a trial is to time inference.

    Where nothing deploys another model the ratio is 1 by itself: then only the baseline's first
    trial tells how fast it is. A limit is on every arm. A claim asks for more than that a gain is
    shown: it is timed in every pair.
    """
    if LATENCY.name in header.limits:
        return True
    if planned.arm == BASELINE and not any(t.inference for t in pairs.own(BASELINE)):
        return True
    if planned.deploys and header.claim is not None and LATENCY.name in header.claim.other_ratios:
        return True
    rule, counts = rule_of(header, planned.stage), aims_of(header).counts
    return any(_is_open(pairs.of(arm, planned.stage), arm, rule, counts) for arm in planned.deploys)


def _is_open(
    trials: Sequence[Measurement], arm: str, rule: Rule, counts: Callable[[Objective], bool]
) -> bool:
    """Tell whether more pairs may still say something of an arm's inference."""
    pairs = pairs_of(trials, arm)
    known = ratios(pairs, LATENCY.of_step)
    if not known or not counts(LATENCY):
        return not known
    if rule.first == rule.most:
        return True
    random = random_in(pairs, pairs[0][1].effect, counts)
    found = repeated_ratio(known, rule, rule.of_gain(random))
    if found is None or found.low is None or found.high is None:
        return True
    return found.low <= LEAST_GAIN and found.high >= WORTH_FINDING
