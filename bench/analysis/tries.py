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
from bench.analysis.estimate import RATIO_FLOOR
from bench.analysis.intervals import repeated_interval
from bench.analysis.levels import ALPHA, Rule
from bench.analysis.margin import as_screened
from bench.analysis.metric import target_of
from bench.analysis.objectives import BY_NAME, TIME, basis_of
from bench.analysis.pairs import Pair
from bench.analysis.sequential import LEAST, WORTH
from bench.records.header import Header
from bench.records.measurement import BASELINE, Measurement
from bench.records.recipe import Recipe

UNKNOWN = 1.0
"""What is lost of quality where that can't be told, and the baseline's can: more than may be."""
WORSE_LOSS = 0.02
"""By what share of the baseline's the loss of items held out may be worse, where tries are compared
by their costs: what a margin of the metric is of a loss, nobody says."""


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
    return tried(pairs_tried(trials), yardstick(as_screened(header, trials)))


def yardstick(header: Header) -> Yardstick:
    """Return how a run's tries are compared: by its metric where it is after that, else by costs.

    Of costs, the metric is to be kept: it exceeds its margin, as others do their limits.
    """
    aims = aims_of(header)
    if aims.quality:
        return Yardstick(lambda pair: _better(header, pair), lambda pair: violation(pair, aims))
    return Yardstick(
        lambda pair: _cheaper(header, pair),
        lambda pair: max(violation(pair, aims), _lost(header, pair)),
    )


def leads(trials: Sequence[Measurement], by: Yardstick, before: str, after: str) -> list[float]:
    """Return by how much one try gains more than another, in each block of both.

    Minus infinity where it gave nothing.
    """
    gains: dict[str, dict[int, float | None]] = {before: {}, after: {}}
    for pair in pairs_tried(trials):
        if pair[1].arm in gains:
            gains[pair[1].arm][pair[1].pair] = by.gain(pair)
    both = [(old, gains[after].get(number)) for number, old in gains[before].items()]
    return [-math.inf if new is None else new - old for old, new in both if old is not None]


def shown_better(found: Sequence[float]) -> bool | None:
    """Tell whether leads show a gain, as the pairs of one arm would; None: more of them may."""
    if -math.inf in found:
        return False
    interval = repeated_interval(found, Rule(), ALPHA, RATIO_FLOOR, clip=True)
    if interval is None or interval.low is None or interval.high is None:
        return None
    if interval.low > LEAST:
        return True
    return False if interval.high < WORTH else None


def _better(header: Header, pair: Pair) -> float | None:
    """Return by how much the metric is better: that which chooses, else that of the test part."""
    before, after = (_metric(trial, header.chosen_by) for trial in pair)
    return None if before is None or after is None else target_of(header).gain(before, after)


def _metric(trial: Measurement, name: str | None) -> float | None:
    if not trial.ok or name is None:
        return trial.metric if trial.ok else None
    return trial.metrics[-1].values.get(name) if trial.metrics else None


def _lost(header: Header, pair: Pair) -> float:
    """Return by how much more is lost of quality than may be; 0 or below: it is kept.

    By the metric that chooses, else the loss of items held out, else the metric of the test part:
    by what share of the margin, or of the baseline's loss, it exceeds them.
    """
    before, after = (trial.validation_loss for trial in pair)
    if header.chosen_by is None and before is not None:
        return UNKNOWN if after is None else (after - before) / (abs(before) or 1.0) - WORSE_LOSS
    better = _better(header, pair)
    if better is None:
        told = _metric(pair[0], header.chosen_by) is not None
        return UNKNOWN if told else 0.0
    return -better / header.margin - 1 if header.margin else -better


def _cheaper(header: Header, pair: Pair) -> float | None:
    """Return the log ratio of what a run is after, of two objectives the sum; of none time's."""
    baseline, candidate = pair
    if not candidate.ok:
        return None
    names, basis = header.objectives or (TIME.name,), basis_of(candidate)
    each = [BY_NAME[name].log_ratio(basis)(baseline, candidate) for name in names]
    known = [ratio for ratio in each if ratio is not None]
    return math.fsum(known) if len(known) == len(each) else None


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
