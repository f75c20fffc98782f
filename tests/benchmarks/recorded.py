"""Recorded pairs of combinations of techniques, and trials answered from them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from bench.analysis.metric import target_of
from bench.analysis.objectives import basis_of, time_of
from bench.analysis.pairs import Pair, matched, whole
from bench.analysis.subsets import Subset, techniques_of
from bench.records.header import Header
from bench.records.measurement import BASELINE, CONTROL, Ending, Measurement, Status
from bench.records.run_folder import read_run
from bench.trial.spec import Outcome, TrialSpec
from tests.benchmarks import tables

STARTED = "2026-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class Recorded:
    """The pairs of every combination, and the header of the run that made them."""

    header: Header
    pairs: dict[Subset, list[Pair]]
    baselines: dict[str, list[Measurement]]
    """By kind of trial."""

    @classmethod
    def read(cls, path: Path) -> Recorded:
        """Read a run of all combinations, or its table; those that don't apply are none."""
        header, trials = tables.read(path) if path.is_file() else read_run(path)[:2]
        arms = {t.arm for t in trials if t.arm not in (BASELINE, CONTROL)}
        pairs = {arm: whole(matched(trials, arm)) for arm in sorted(arms)}
        found = {frozenset(techniques_of(own[0][1])): own for own in pairs.values() if own}
        baselines: dict[str, list[Measurement]] = {}
        for trial in trials:
            if trial.ok and trial.arm in (BASELINE, CONTROL):
                baselines.setdefault(trial.kind, []).append(trial)
        return cls(header, found, baselines)

    @property
    def techniques(self) -> list[str]:
        """Return the single ones."""
        return sorted(name for subset in self.pairs if len(subset) == 1 for name in subset)

    @property
    def trials(self) -> int:
        """Return how many trials measuring everything took."""
        return sum(map(len, self.pairs.values())) + sum(map(len, self.baselines.values()))

    def gain(self, subset: Subset) -> float:
        """Return the mean log gain in time; of what loses more than the margin none."""
        if not subset or not self.is_kept(subset):
            return 0.0
        return fmean(logs_of(self.pairs[subset]))

    def is_kept(self, subset: Subset) -> bool:
        """Tell whether the mean metric is kept within the margin."""
        return kept(self.pairs[subset], self.header)

    @property
    def best(self) -> float:
        """Return the largest gain of all."""
        return max(map(self.gain, self.pairs))


def logs_of(pairs: Sequence[Pair]) -> list[float]:
    """Return the log ratios of time."""
    value = time_of(basis_of(pairs[0][1]))
    both = [(value(b), value(c)) for b, c in pairs]
    return [math.log(b / c) for b, c in both if b and c]


def kept(pairs: Sequence[Pair], header: Header) -> bool:
    """Tell whether the mean metric of pairs is kept within the margin."""
    target = target_of(header)
    both = [(b.metric, c.metric) for b, c in pairs]
    gains = [target.gain(b, c) for b, c in both if b is not None and c is not None]
    return not gains or fmean(gains) >= -header.margin


@dataclass
class Replayer:
    """Answers trials from records: each pair of a round that is drawn for it."""

    recorded: Recorded
    seed: int
    asked: int = 0
    seconds: float = 0.0

    def run(self, trial: TrialSpec) -> Outcome:
        """Return a recorded trial of the recipe, as if it had been made now."""
        subset = frozenset(use.name for use in trial.recipe.techniques)
        if subset and subset not in self.recorded.pairs:
            return Outcome(measurement=_unknown(trial))
        found = self._drawn(subset, trial)
        if trial.kind != "build" and not trial.profile:
            self.asked += 1
            self.seconds += found.wall_seconds or 0.0
        now = {**trial.identity.model_dump(), "kind": trial.kind}
        if found.losses:  # drawn twice it stands for trainings of two seeds
            now["losses"] = (*found.losses, float(trial.seed))
        return Outcome(measurement=found.model_copy(update=now))

    def _drawn(self, subset: Subset, trial: TrialSpec) -> Measurement:
        """Draw a round by the pair's number; a candidate is as far from the baseline as it was."""
        recorded = self.recorded.baselines
        baselines = recorded.get(trial.kind) or next(iter(recorded.values()))
        chosen = random.Random(f"{self.seed}/{trial.pair}").choice(baselines)
        draw = random.Random(f"{self.seed}/{trial.pair}/{trial.arm}")
        if not subset:
            again = [one for one in baselines if one.seed == chosen.seed]
            return draw.choice(again) if trial.arm == CONTROL else chosen
        pairs = self.recorded.pairs[subset]
        before, after = draw.choice([p for p in pairs if p[0].seed == chosen.seed] or pairs)
        return beside(chosen, before, after)


def _unknown(trial: TrialSpec) -> Measurement:
    """Return what a combination that was not recorded is: one that doesn't apply."""
    ending = Ending(status=Status.NOT_APPLICABLE, reason="it was not recorded", started=STARTED)
    return Measurement.of(trial.identity, ending)


def beside(chosen: Measurement, before: Measurement, after: Measurement) -> Measurement:
    """Return a candidate's trial beside another baseline's: as much faster, as much better."""
    speed = (chosen.seconds_per_item or 1.0) / (before.seconds_per_item or 1.0)
    changes: dict[str, Any] = {
        name: value * speed
        for name in ("window_seconds", "train_seconds", "wall_seconds")
        if (value := getattr(after, name)) is not None
    }
    changes["step_seconds"] = tuple(seconds * speed for seconds in after.step_seconds)
    if None not in (chosen.metric, before.metric, after.metric):
        metrics = [cast(float, t.metric) for t in (chosen, after, before)]
        changes["metric"] = metrics[0] + metrics[1] - metrics[2]
    return after.model_copy(update=changes)
