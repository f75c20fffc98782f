"""What an arm's trials took and gave in absolute figures: medians over its good trials.

A whole training and a few steps take and hold other things: they are never in one median.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from bench.analysis.objectives import inference_of
from bench.records.measurement import Measurement, Parameters

OUTSIDE = ("evaluate", "finish")
"""Phases after the window: their seconds are no share of a step."""
PHASES = ("data_wait", "forward", "backward", "update", "schedule", "stop", "other")
"""In the order in which a step goes through them."""
MANY = 32
"""Items that inference asks for at once."""
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the steps, at which their times are told."""

Value = Callable[[Measurement], float | None]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes above the start of the trial's process; those of CUDA are whole."""

    peak: float | None
    allocated: float | None
    reserved: float | None
    resident: float | None
    end_anonymous: float | None
    end_file: float | None


@dataclass(frozen=True, slots=True)
class Model:
    """What the model is, and what it takes to ask it."""

    flops_per_step: float | None
    flops_coverage: float | None
    flops_per_item: float | None
    parameters: Parameters | None
    bytes: float | None
    latency_seconds: float | None
    """Of one item."""
    items_per_second: float | None
    """Asked `many` at once."""
    many: int | None


@dataclass(frozen=True, slots=True)
class Setup:
    """What comes before the steady state, in seconds."""

    startup: float | None
    build: float | None
    first: float | None
    """What the first steps took above the usual, in the first trial."""
    later: float | None
    """The same in later trials, whose caches are warm."""


@dataclass(frozen=True, slots=True)
class Figures:
    """An arm in absolute figures; None is unknown."""

    arm: str
    trials: int
    """Of one kind, that the figures are of: whole trainings where there are any. What is of the
    model or of the set-up is of all."""
    whole_trainings: int
    step_seconds: float | None
    slow_step_seconds: float | None
    """What 95 % of a trial's steps do not exceed."""
    cpu_seconds_per_step: float | None
    items_per_second: float | None
    train_seconds: float | None
    epochs: float | None
    items_seen: float | None
    energy_joules: float | None
    memory: Memory
    model: Model
    setup: Setup
    step_spread: tuple[float, ...]
    """Seconds that `SHARES` of all steps do not exceed; empty where there are none."""
    phases: dict[str, float]
    """Seconds of a step in each phase, in order."""
    outside: dict[str, float | None]
    """Seconds of a whole training that lie outside of steps."""
    metrics: dict[str, float]
    """Of the last evaluations."""


def figures_of(arm: str, trials: Sequence[Measurement]) -> Figures:
    """Return the figures of an arm by its good trials, of which there is at least one."""
    full = [trial for trial in trials if trial.kind == "full"]
    own = full or trials
    return Figures(
        arm=arm,
        trials=len(own),
        whole_trainings=len(full),
        step_seconds=middle(own, _step_seconds),
        slow_step_seconds=middle(own, slow_step_seconds),
        cpu_seconds_per_step=middle(own, _cpu_seconds_per_step),
        items_per_second=middle(own, _items_per_second),
        train_seconds=middle(full, lambda m: m.train_seconds),
        epochs=middle(full, lambda m: m.epochs),
        items_seen=middle(full, lambda m: m.items_seen),
        energy_joules=middle(full, lambda m: m.energy_joules),
        memory=_memory(own),
        model=_model(trials),
        setup=_setup(trials),
        step_spread=_spread(own),
        phases=_phases(own),
        outside={
            name: middle(own, lambda m, name=name: m.phase_seconds.get(name))  # type: ignore[misc]  # mypy: a lambda's default
            for name in OUTSIDE
        },
        metrics=_metrics(full),
    )


def middle(trials: Iterable[Measurement], value: Value) -> float | None:
    """Return the median of a raw fact over trials; None where none of them knows it."""
    known = [found for trial in trials if (found := value(trial)) is not None]
    return median(known) if known else None


def _memory(trials: Sequence[Measurement]) -> Memory:
    return Memory(
        peak=middle(trials, lambda m: m.peak_memory_bytes),
        allocated=middle(trials, lambda m: m.peak_allocated_bytes),
        reserved=middle(trials, lambda m: m.peak_reserved_bytes),
        resident=middle(trials, _resident),
        end_anonymous=middle(trials, lambda m: m.end_anonymous_bytes),
        end_file=middle(trials, lambda m: m.end_file_bytes),
    )


def _model(trials: Sequence[Measurement]) -> Model:
    timed = [found for trial in trials if (found := trial.inference_of(MANY))]
    rates = [i.items / median(i.seconds) for i in timed if i.seconds and median(i.seconds)]
    return Model(
        flops_per_step=middle(trials, lambda m: m.model_flops_per_step),
        flops_coverage=middle(trials, lambda m: m.flops_coverage),
        flops_per_item=middle(trials, lambda m: m.forward_flops_per_item),
        parameters=next((t.parameters for t in reversed(trials) if t.parameters), None),
        bytes=middle(trials, lambda m: m.model_bytes),
        latency_seconds=middle(trials, inference_of(1)),
        items_per_second=median(rates) if rates else None,
        many=timed[0].items if timed else None,
    )


def _setup(trials: Sequence[Measurement]) -> Setup:
    cold, *warm = trials
    return Setup(
        startup=middle(trials, lambda m: m.startup_seconds),
        build=middle(trials, lambda m: m.build_seconds),
        first=cold.setup_seconds,
        later=middle(warm, lambda m: m.setup_seconds),
    )


def _spread(trials: Sequence[Measurement]) -> tuple[float, ...]:
    known = [np.asarray(trial.step_seconds) for trial in trials if trial.step_seconds]
    if not known:
        return ()
    return tuple(float(found) for found in np.quantile(np.concatenate(known), SHARES))


def _phases(trials: Sequence[Measurement]) -> dict[str, float]:
    steps = sum(len(trial.step_seconds) for trial in trials)
    spent: dict[str, float] = {}
    for trial in trials:
        for name, seconds in trial.phase_seconds.items():
            spent[name] = spent.get(name, 0.0) + seconds
    known = [name for name in spent if name not in OUTSIDE and spent[name] > 0]
    order = [*(p for p in PHASES if p in known), *sorted(set(known).difference(PHASES))]
    return {name: spent[name] / steps for name in order} if steps else {}


def _metrics(full: Sequence[Measurement]) -> dict[str, float]:
    last = [trial.metrics[-1].values for trial in full if trial.metrics]
    names = sorted({name for values in last for name in values})
    return {name: median(v[name] for v in last if name in v) for name in names}


def _step_seconds(measured: Measurement) -> float | None:
    return median(measured.step_seconds) if measured.step_seconds else None


def slow_step_seconds(measured: Measurement) -> float | None:
    """Return the step time that 95 % of a trial's steps do not exceed."""
    ordered = sorted(measured.step_seconds)
    return ordered[math.ceil(0.95 * len(ordered)) - 1] if ordered else None


def _cpu_seconds_per_step(measured: Measurement) -> float | None:
    steps = len(measured.step_seconds)
    return measured.cpu_seconds / steps if measured.cpu_seconds is not None and steps else None


def _items_per_second(measured: Measurement) -> float | None:
    return 1 / measured.seconds_per_item if measured.seconds_per_item else None


def _resident(measured: Measurement) -> float | None:
    if measured.peak_rss_bytes is None or measured.base_rss_bytes is None:
        return None
    return measured.peak_rss_bytes - measured.base_rss_bytes
