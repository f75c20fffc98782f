"""The tables that compare the arms: verdicts, time, memory, model, phases, set-up."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median

from bench.analysis.results import ArmResult, Control
from bench.records.measurement import BASELINE, Measurement
from reports import formatting
from reports.run import Run, middle, step_seconds
from reports.tables import Table, table

NONE = "–"
AGAIN = "baseline again (A/A)"
OUTSIDE = ("evaluate", "finish")
"""Phases after the window: their seconds are no share of a step."""
MANY = 32
"""Items that inference asks for at once."""
PHASES = ("data_wait", "forward", "backward", "update", "schedule", "stop", "other")

Value = Callable[[Measurement], float | None]


def verdicts(run: Run) -> Table | None:
    """Return the candidates with everything that their verdict rests on."""
    columns = ("candidate", "verdict", "work", "time ratio", "time of", "memory ratio",
               "FLOPs ratio", run.header.metric, "difference", "pairs")  # fmt: skip
    rows = [_row(result) for result in run.candidates]
    control = run.comparison.control
    if rows and control and control.pairs:
        rows.append(_control_row(control))
    if rows:
        rows.append(_baseline_row(run))
    return table(columns, rows)


def times(run: Run) -> Table | None:
    """Return medians over each arm's trials of what time they took."""
    target = run.header.target
    reached = "≤" if run.header.metric_direction == "lower" else "≥"
    reach = (
        f"until {run.header.metric} {reached} {formatting.value(target)}"
        if target is not None
        else "–"
    )
    columns = ("arm", "trials", "step", "step, 95th percentile", "CPU time of a step",
               "CPU time ratio", "throughput", "training", reach, "energy")  # fmt: skip
    made = table(columns, [_time_row(run, arm) for arm in run.measured])
    return made.known() if made else None


def memory(run: Run) -> Table | None:
    """Return medians over each arm's trials of the memory they needed."""
    values: tuple[tuple[str, Value], ...] = (
        ("peak allocated (CUDA)", lambda m: m.peak_allocated_bytes),
        ("peak reserved (CUDA)", lambda m: m.peak_reserved_bytes),
        ("peak resident above start", _resident),
        ("anonymous at the end", lambda m: m.end_anonymous_bytes),
        ("file-backed at the end", lambda m: m.end_file_bytes),
    )
    rows = [
        [arm, *(formatting.size(middle(run.of(arm), value)) for _, value in values)]
        for arm in run.measured
    ]
    made = table(["arm", *(title for title, _ in values)], rows)
    return made.known() if made else None


def model(run: Run) -> Table | None:
    """Return what each arm's model is and does."""
    columns = ("arm", "FLOPs of a step", "FLOPs coverage", "parameters", "frozen", "buffers",
               "model size", "size ratio", "FLOPs of inference", "their ratio",
               "latency, 1 item", "latency ratio",
               "inference, 32 items", "throughput ratio")  # fmt: skip
    made = table(columns, [_model_row(run, arm) for arm in run.measured])
    return made.known() if made else None


def phases(run: Run) -> Table | None:
    """Return how each arm's step time divides, as seconds of a step and as shares."""
    spent = {arm: _phase_totals(run.of(arm)) for arm in run.measured}
    inside = [name for total in spent.values() for name in total if name not in OUTSIDE]
    known = {name for name in inside if any(total.get(name) for total in spent.values())}
    names = [*(p for p in PHASES if p in known), *sorted(known.difference(PHASES))]
    rows = [_phase_row(run, arm, spent[arm], names) for arm in run.measured]
    columns = ["arm", *(name.replace("_", " ") for name in names),
               "evaluation, all of training", "after training"]  # fmt: skip
    made = table(columns, rows)
    return made.known() if made and names else None


def setups(run: Run) -> Table | None:
    """Return what happens before the steady state, and when it has paid back."""
    columns = ("arm", "process start", "building data and model", "first steps above the usual",
               "the same in later trials", "pays back after", "this training makes")  # fmt: skip
    made = table(columns, [_setup_row(run, arm) for arm in run.measured])
    return made.known() if made else None


def latency(items: int) -> Value:
    """Return a function for the median seconds of a forward pass of so many items."""
    return lambda m: next((median(i.seconds) for i in m.inference if i.items == items), None)


def _many_at_once(run: Run, arm: str) -> str:
    """Return the rate of the largest batch, and how many items it held where there were fewer."""
    timed = [found for trial in run.of(arm) if (found := trial.inference_of(MANY))]
    if not timed:
        return formatting.UNKNOWN
    rate = median(found.items / median(found.seconds) for found in timed)
    held = timed[0].items
    few = f" ({formatting.number(held, 'item')})" if held != MANY else ""
    return formatting.rate(rate, run.header.unit) + few


def _row(result: ArmResult) -> list[str]:
    if not result.pairs:
        return [result.arm, str(result.verdict), result.work or NONE, *[NONE] * 6, "0"]
    fresh = ", fresh" if result.confirmed else ""
    exact = result.metric is None and result.same_losses
    return [
        result.arm,
        str(result.verdict),
        result.work or formatting.UNKNOWN,
        formatting.ratio_with_interval(result.time_ratio),
        "training" if result.time_basis == "training" else "step",
        formatting.ratio_with_interval(result.memory_ratio),
        formatting.ratio(result.flops_ratio),
        "same losses" if exact else formatting.metric_with_interval(result.metric),
        NONE
        if exact
        else formatting.difference_with_interval(
            result.metric_difference, result.difference_is_relative
        ),
        f"{result.pairs}{fresh}",
    ]


def _control_row(control: Control) -> list[str]:
    return [
        AGAIN, NONE, "same work",
        formatting.ratio_with_interval(control.time_ratio), "step",
        formatting.ratio_with_interval(control.memory_ratio),
        NONE, NONE, NONE, str(control.pairs),
    ]  # fmt: skip


def _baseline_row(run: Run) -> list[str]:
    found = formatting.metric_with_interval(run.comparison.baseline_metric)
    return [BASELINE, *[NONE] * 6, found, NONE, NONE]


def _time_row(run: Run, arm: str) -> list[str]:
    trials, result = run.of(arm), run.result(arm)
    full = [trial for trial in trials if trial.kind == "full"]
    return [
        arm,
        str(len(trials)),
        formatting.seconds(middle(trials, step_seconds)),
        formatting.seconds(middle(trials, _slow_step_seconds)),
        formatting.seconds(middle(trials, _cpu_seconds_per_step)),
        formatting.ratio_with_interval(result.cpu_ratio) if result else NONE,
        formatting.rate(middle(trials, _throughput), run.header.unit),
        formatting.seconds(middle(full, lambda m: m.train_seconds))
        if full
        else "not run to the end",
        _to_target(run, arm, full),
        _energy(full),
    ]


def _to_target(run: Run, arm: str, full: list[Measurement]) -> str:
    if not full or run.header.target is None:
        return NONE
    result = run.result(arm)
    found = result.seconds_to_target if result else run.comparison.baseline_seconds_to_target
    return "not reached" if found is None else formatting.seconds(found)


def _energy(full: list[Measurement]) -> str:
    joules = middle(full, lambda m: m.energy_joules)
    return formatting.UNKNOWN if joules is None else f"{joules:,.0f} J"


def _model_row(run: Run, arm: str) -> list[str]:
    trials = run.of(arm)
    parameters = next((t.parameters for t in reversed(trials) if t.parameters), None)
    result = run.result(arm)
    return [
        arm,
        formatting.flops(middle(trials, lambda m: m.model_flops_per_step)),
        formatting.percent(middle(trials, lambda m: m.flops_coverage)),
        formatting.count(parameters.trainable if parameters else None),
        formatting.count(parameters.frozen if parameters else None),
        formatting.count(parameters.buffers if parameters else None),
        formatting.size(middle(trials, lambda m: m.model_bytes)),
        formatting.ratio(result.size_ratio) if result else NONE,
        formatting.flops(middle(trials, lambda m: m.forward_flops_per_item)),
        formatting.ratio(result.inference_flops_ratio) if result else NONE,
        formatting.seconds(middle(trials, latency(1))),
        formatting.ratio(result.latency_ratio) if result else NONE,
        _many_at_once(run, arm),
        formatting.ratio(result.throughput_ratio) if result else NONE,
    ]


def _phase_totals(trials: list[Measurement]) -> dict[str, float]:
    names = {name for trial in trials for name in trial.phase_seconds}
    return {name: sum(t.phase_seconds.get(name, 0.0) for t in trials) for name in names}


def _phase_row(run: Run, arm: str, spent: dict[str, float], names: list[str]) -> list[str]:
    trials = run.of(arm)
    steps = sum(len(trial.step_seconds) for trial in trials)
    whole = sum(seconds for name, seconds in spent.items() if name not in OUTSIDE)
    cells = [_share(spent.get(name), steps, whole) for name in names]
    outside = [
        formatting.seconds(middle(trials, lambda m, name=name: m.phase_seconds.get(name)))  # type: ignore[misc]  # mypy: a lambda's default
        for name in OUTSIDE
    ]
    return [arm, *cells, *outside]


def _share(spent: float | None, steps: int, whole: float) -> str:
    if spent is None or not steps or not whole:
        return NONE
    return f"{formatting.seconds(spent / steps)} ({formatting.percent(spent / whole)})"


def _setup_row(run: Run, arm: str) -> list[str]:
    trials = run.of(arm)
    result = run.result(arm)
    cold, *warm = trials
    return [
        arm,
        formatting.seconds(middle(trials, lambda m: m.startup_seconds)),
        formatting.seconds(middle(trials, lambda m: m.build_seconds)),
        formatting.seconds(cold.setup_seconds),
        formatting.seconds(middle(warm, lambda m: m.setup_seconds)),
        _steps(result.payback_steps if result and _surely_faster(result) else None),
        _steps(result.planned_steps if result else None),
    ]


def _surely_faster(result: ArmResult) -> bool:
    """Tell whether there is a gain in time that could pay anything back."""
    low = result.time_ratio.low if result.time_ratio else None
    return low is not None and low > 1


def _steps(found: int | None) -> str:
    return NONE if found is None else formatting.number(found, "step")


def _slow_step_seconds(measured: Measurement) -> float | None:
    """Return the step time that 95 % of a trial's steps do not exceed."""
    ordered = sorted(measured.step_seconds)
    return ordered[math.ceil(0.95 * len(ordered)) - 1] if ordered else None


def _cpu_seconds_per_step(measured: Measurement) -> float | None:
    steps = len(measured.step_seconds)
    return measured.cpu_seconds / steps if measured.cpu_seconds is not None and steps else None


def _throughput(measured: Measurement) -> float | None:
    return 1 / measured.seconds_per_item if measured.seconds_per_item else None


def _resident(measured: Measurement) -> float | None:
    if measured.peak_rss_bytes is None or measured.base_rss_bytes is None:
        return None
    return measured.peak_rss_bytes - measured.base_rss_bytes
