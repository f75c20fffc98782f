"""What is judged of a measurement: one row of one table for each objective.

Verdicts, comparisons, gates and reports read the rows; how sure each of them has to be follows from
how many there are. A new objective is a new row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType
from typing import Literal, NamedTuple

from bench.records.measurement import Measurement

SAME_SIZE = 0.01
"""Log ratio up to which files of models are of one size: what they say of themselves may differ."""
Value = Callable[[Measurement], float | None]
"""What is taken of a measurement; None is unknown."""
LogRatio = Callable[[Measurement, Measurement], float | None]
"""Of a baseline's trial and a candidate's: log(baseline / candidate); None is unknown."""
Basis = Literal["step", "training"]
"""Whether costs are those of an item in the steady state, or of the whole training."""
Gain = Literal[
    "faster", "smaller", "less energy", "faster inference", "smaller file", "better metric"
]  # fmt: skip

ALL_EFFECTS = frozenset({"exact", "rounding", "learning", "model"})
DEPLOYED = frozenset({"model"})
"""Effects that deploy another model than the one that is trained."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One thing that a technique can gain; less of it is better."""

    name: str
    gain: Gain
    """What a gain in it is called."""
    unit: str
    of_step: Value
    """In the steady state, by the item."""
    of_training: Value
    """Of the whole training."""
    effects: frozenset[str] = ALL_EFFECTS
    """For which effects of a technique it counts."""
    deterministic: bool = False
    """Equal in equal trials: it is compared exactly, and has no share in the chance to err."""
    option: str | None = None
    """What options of the command line call it; None: its name."""
    in_steps: bool = True
    """Whether a trial of steps alone tells what a whole training takes of it."""

    @property
    def called(self) -> str:
        """Return what options call it."""
        return self.option or self.name

    def value(self, basis: Basis) -> Value:
        """Return what is taken of a measurement."""
        return self.of_training if basis == "training" else self.of_step

    def is_shared(self, baseline: Measurement, candidate: Measurement) -> bool:
        """Tell whether it is of what is deployed, and a candidate deploys what the baseline does.

        Then their ratio is 1, whether it was measured or not. Settings may change a model, too.
        """
        if self.effects != DEPLOYED or not candidate.ok:
            return False
        before, after = (one.model_bytes for one in (baseline, candidate))
        if before and after and abs(math.log(before / after)) > SAME_SIZE:
            return False
        return candidate.effect not in (None, *DEPLOYED)  # of another revision nothing is promised

    def log_ratio(self, basis: Basis) -> LogRatio:
        """Return a function for log(baseline / candidate)."""
        measured = log_ratio_of(self.value(basis))
        return lambda b, c: 0.0 if self.is_shared(b, c) else measured(b, c)


def log_ratio_of(value: Value) -> LogRatio:
    """Return a function for log(baseline / candidate) of what is taken of measurements."""

    def ratio(baseline: Measurement, candidate: Measurement) -> float | None:
        before, after = value(baseline), value(candidate)
        if before is None or after is None or before <= 0 or after <= 0:
            return None
        return math.log(before / after)

    return ratio


def cpu_of(measured: Measurement) -> float | None:
    """Return CPU seconds an item within the window: shown beside time, judged nowhere."""
    if measured.cpu_seconds is None or not measured.items:
        return None
    return measured.cpu_seconds / measured.items


def inference_of(items: int) -> Value:
    """Return a function for the deployed model's median seconds an item, so many asked at once."""

    def value(measured: Measurement) -> float | None:
        timed = measured.inference_of(items)
        if timed is None or not timed.seconds or not timed.items:
            return None
        return median(timed.seconds) / timed.items

    return value


def _seconds_per_item(measured: Measurement) -> float | None:
    return measured.seconds_per_item


def _train_seconds(measured: Measurement) -> float | None:
    return measured.train_seconds


def _peak_memory(measured: Measurement) -> float | None:
    return measured.peak_memory_bytes


def _joules(measured: Measurement) -> float | None:
    return measured.energy_joules


def _joules_per_item(measured: Measurement) -> float | None:
    if measured.energy_joules is None or not measured.items_seen:
        return None
    return measured.energy_joules / measured.items_seen


def _file_size(measured: Measurement) -> float | None:
    return measured.model_bytes


def _metric(measured: Measurement) -> float | None:
    return measured.metric


_latency = inference_of(1)

OBJECTIVES: tuple[Objective, ...] = (
    Objective("time", "faster", "s", _seconds_per_item, _train_seconds),
    Objective("memory", "smaller", "bytes", _peak_memory, _peak_memory),
    Objective("energy", "less energy", "J", _joules_per_item, _joules, in_steps=False),
    Objective(
        "inference time",
        "faster inference",
        "s",
        _latency,
        _latency,
        DEPLOYED,
        option="latency",
        in_steps=False,
    ),
    Objective(
        "file size",
        "smaller file",
        "bytes",
        _file_size,
        _file_size,
        DEPLOYED,
        deterministic=True,
        option="size",
    ),
)
QUALITY = Objective("quality", "better metric", "", _metric, _metric)
"""The metric itself: no cost, so gains are differences, and no limit is on it. It counts only where
it is what a run is after; else it is to be kept."""
BY_NAME = MappingProxyType({row.name: row for row in (*OBJECTIVES, QUALITY)})
TIME, MEMORY, FILE_SIZE = BY_NAME["time"], BY_NAME["memory"], BY_NAME["file size"]


def time_of(basis: str) -> Value:
    """Return what time means: the whole training's seconds, or seconds per item."""
    return TIME.of_training if basis == "training" else TIME.of_step


def memory_of(measured: Measurement) -> float | None:
    """Return the peak memory in bytes."""
    return measured.peak_memory_bytes


def file_of(measured: Measurement) -> float | None:
    """Return the size of the deployed model's file in bytes."""
    return measured.model_bytes


def basis_of(candidate: Measurement) -> Basis:
    """Return by what costs of a candidate are compared: by the item where its work is the same."""
    return "step" if candidate.work == "same work" else "training"


def gained(gains: Sequence[Gain]) -> tuple[Objective, ...]:
    """Return the objectives that these gains are gains in, in order of the table."""
    return tuple(objective for objective in OBJECTIVES if objective.gain in gains)


def every(objective: Objective) -> bool:
    """Count any cost."""
    return objective is not QUALITY


class Sought(NamedTuple):
    """In which objectives a run looks for gains."""

    counts: Callable[[Objective], bool] = every
    """Which share the error: that is fixed before the first trial."""
    wanted: Callable[[Objective], bool] = every
    """In which of them a gain is one that the run is after."""
    named: bool = False
    """Whether these were asked for by name: then each of them has to be known."""


ANY_COST = Sought()


def counting(
    effect: str | None, counts: Callable[[Objective], bool] = every
) -> tuple[Objective, ...]:
    """Return the objectives that count for an effect, whether they are measured or not."""
    return tuple(
        objective
        for objective in (*OBJECTIVES, QUALITY)
        if counts(objective) and (effect or "exact") in objective.effects
    )


def told(objective: Objective, trials: Iterable[Measurement]) -> bool:
    """Tell whether any trial measured an objective."""
    return any(objective.of_step(trial) is not None for trial in trials)
