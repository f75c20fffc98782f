"""What a search's tries gave, by their settings: which are to be tried again, which is best. Pure.

Tries judge no arm: what they choose is judged by fresh pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from bench.analysis.aims import violation
from bench.analysis.comparison import aims_of
from bench.analysis.metric import target_of
from bench.analysis.objectives import TIME
from bench.analysis.pairs import Pair
from bench.records.header import Header
from bench.records.measurement import BASELINE, Measurement
from bench.records.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Yardstick:
    """How tries are compared with the baseline beside them."""

    gain: Callable[[Pair], float | None]
    """By how much it is better; None: it gave nothing."""
    excess: Callable[[Pair], float]
    """By what share it exceeds what it must keep; 0 or below: it can be had."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One choice of settings, with what all of its tries gave."""

    recipe: Recipe
    gains: tuple[float, ...]
    excess: float
    """By what share a limit is exceeded, in the mean."""
    times: tuple[float, ...]
    """How many times the baseline's training it takes."""
    failed: int

    @property
    def gain(self) -> float:
        """Return the mean gain."""
        return fmean(self.gains) if self.gains else -math.inf

    @property
    def fits(self) -> bool:
        """Tell whether it can be had: every try trained, and no limit is exceeded."""
        return bool(self.gains) and not self.failed and self.excess <= 0

    @property
    def time(self) -> float | None:
        """Return how many times the baseline's training it takes, by the median."""
        return median(self.times) if self.times else None


def pairs_tried(trials: Sequence[Measurement]) -> list[Pair]:
    """Return every try with the baseline beside it, where that trained."""
    own = [trial for trial in trials if trial.stage == "tune"]
    baselines = {trial.pair: trial for trial in own if trial.arm == BASELINE and trial.ok}
    tries = [trial for trial in own if trial.arm != BASELINE and trial.pair in baselines]
    return [(baselines[trial.pair], trial) for trial in tries]


def tried(pairs: Sequence[Pair], by: Yardstick) -> list[Tried]:
    """Return all settings that were tried, the best first; those that can't be had at the end."""
    by_recipe: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_recipe.setdefault(Recipe.model_validate(pair[1].recipe).id, []).append(pair)
    found = [_tried(own, by) for own in by_recipe.values()]
    return sorted(found, key=lambda one: (not one.fits, -one.gain))


def found_in(header: Header, trials: Sequence[Measurement]) -> list[Tried]:
    """Return what a run's search tried, the best first."""
    return tried(pairs_tried(trials), yardstick(header))


def yardstick(header: Header) -> Yardstick:
    """Return how a run's tries are compared: by the metric that settings are chosen by."""
    aims, target, name = aims_of(header), target_of(header), header.chosen_by

    def gain(pair: Pair) -> float | None:
        before, after = (_held_out(trial, name) for trial in pair)
        return None if before is None or after is None else target.gain(before, after)

    return Yardstick(gain, lambda pair: violation(pair, aims))


def _held_out(trial: Measurement, name: str | None) -> float | None:
    if not trial.ok or not trial.metrics or name is None:
        return None
    return trial.metrics[-1].values.get(name)


def _tried(pairs: Sequence[Pair], by: Yardstick) -> Tried:
    known = [(pair, value) for pair in pairs if (value := by.gain(pair)) is not None]
    times = [(TIME.of_training(b), TIME.of_training(c)) for (b, c), _ in known]
    return Tried(
        recipe=Recipe.model_validate(pairs[0][1].recipe),
        gains=tuple(value for _, value in known),
        excess=fmean(by.excess(pair) for pair, _ in known) if known else 0.0,
        times=tuple(after / before for before, after in times if before and after is not None),
        failed=len(pairs) - len(known),
    )
