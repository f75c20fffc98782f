"""Where steps spend their time, what memory is made of, how steps are spread, in what order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.durations import pace
from bench.records.measurement import BASELINE, CONTROL, Measurement
from reports import arm_tables, context_tables, formatting
from reports.charts.bars import spread, stacked
from reports.charts.intervals import Panel, axis
from reports.charts.marks import drawing
from reports.charts.order import Ran, in_order
from reports.charts.scale import log_scale, ticks
from reports.run import Run


@dataclass(frozen=True, slots=True)
class Bars:
    """Rows of (arm, what it comes to, chart), with what their parts or ticks are."""

    rows: tuple[tuple[str, str, str], ...]
    legend: tuple[str, ...] = ()
    axis: str = ""


def phases(run: Run) -> Bars | None:
    """Return each arm's step as its phases side by side."""
    parts = {arm: own.phases for arm, own in run.by_kind if own.phases}
    return _stacked(parts, arm_tables.phase_names(run), formatting.seconds)


def memory(run: Run) -> Bars | None:
    """Return each arm's memory at the end of training by kind, and what its peak was above."""
    parts = {}
    for arm, figures in run.by_kind:
        own = figures.memory
        ends = {"anonymous": own.end_anonymous, "file-backed": own.end_file}
        known = {name: size for name, size in ends.items() if size is not None and size > 0}
        above = (own.peak or 0.0) - sum(known.values())
        if own.peak:
            parts[arm] = {**known, **({"only at the peak": above} if above > 0 else {})}
    return _stacked(parts, ["anonymous", "file-backed", "only at the peak"], formatting.size)


def steps(run: Run) -> Bars | None:
    """Return how each arm's steps are spread."""
    own = {arm: f.step_spread for arm, f in run.by_kind if f.step_spread}
    if not own:
        return None
    scale = log_scale(value for quantiles in own.values() for value in quantiles)
    marks = drawing([axis(Panel(scale, ticks(scale, formatting.seconds), -1.0))], 18, "cell")
    rows = tuple(
        (arm, f"{formatting.seconds(q[2])} (5 to 95 %: {formatting.seconds(q[0])} to "
         f"{formatting.seconds(q[4])})", spread(q, scale))
        for arm, q in own.items()
    )  # fmt: skip
    return Bars(rows, axis=marks)


def order(run: Run) -> str:
    """Return the charts of all trials in the order in which they ran."""
    trials = sorted((*run.trials, *run.set_aside), key=lambda trial: trial.started)
    trials = [trial for trial in trials if trial.pair >= 0]
    if not trials:
        return ""
    ran = [_ran(t, p) for t, p in zip(trials, pace(trials), strict=True)]
    cores = run.header.environment.get("cores")
    return in_order(ran, cores if isinstance(cores, int) else None)


def _ran(trial: Measurement, own: float | None) -> Ran:
    kind = "baseline" if trial.arm in (BASELINE, CONTROL) else "arm"
    if trial.disturbed:
        kind = "disturbed"
    elif not trial.ok:
        kind = "lost"
    beside = f", {formatting.ratio(own)} its median" if own else ""
    why = trial.disturbed or (trial.reason if not trial.ok else "") or ""
    says = f"{trial.arm}, pair {trial.pair}: {context_tables.outcome(trial)}{beside} {why}".strip()
    arm = BASELINE if trial.arm == CONTROL else trial.arm
    return Ran(arm, own if trial.ok or trial.set_aside else None, trial.load_average, kind, says)


def _stacked(
    parts: Mapping[str, Mapping[str, float]], order: Sequence[str],
    show: formatting.Show,
) -> Bars | None:  # fmt: skip
    if not parts:
        return None
    longest = max(sum(own.values()) for own in parts.values())
    rows = tuple(
        (arm, _sum(own, show), stacked({n: own[n] for n in order if n in own}, order, longest))
        for arm, own in parts.items()
    )
    seen = [name for name in order if any(name in own for own in parts.values())]
    return Bars(rows, tuple(seen))


def _sum(own: Mapping[str, float], show: formatting.Show) -> str:
    said = ", ".join(f"{name.replace('_', ' ')} {show(value)}" for name, value in own.items())
    return f"{show(sum(own.values()))}: {said}"
