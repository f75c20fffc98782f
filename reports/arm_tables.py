"""The tables that compare the arms: verdicts, time, memory, model, phases, set-up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.analysis.figures import MANY, OUTSIDE, PHASES, Figures
from bench.analysis.results import ArmResult
from reports import formatting
from reports.run import Run
from reports.tables import Table, table
from reports.view.rows import Row, control_row, rows

NONE = "–"

Shown = Callable[[Figures], str]
Columns = tuple[tuple[str, Shown], ...]


def verdicts(run: Run) -> Table | None:
    """Return the arms that were measured with their verdicts, beside the baseline itself."""
    columns = ("candidate", "verdict", "time", "memory", run.header.metric, "pairs")
    found = [_row(row) for row in rows(run)]
    control = control_row(run)
    if found and control:
        found.append(_row(control))
    return table(columns, found)


def times(run: Run) -> Table | None:
    """Return what time each arm's trials took."""
    target = run.header.target
    reached = "≤" if run.target.lower else "≥"
    until = f"until {run.header.metric} {reached} {formatting.value(target)}"
    return _known(
        run.by_kind,
        (
            ("trials", lambda p: str(p.trials)),
            ("step", lambda p: formatting.seconds(p.step_seconds)),
            ("step, 95th percentile", lambda p: formatting.seconds(p.slow_step_seconds)),
            ("training", _training),
            (until, lambda p: _to_target(run, p)),
            (
                "ratio of time to target",
                _of_result(run, lambda r: formatting.ratio(r.target_ratio) if target else NONE),
            ),
            ("CPU time of a step", lambda p: formatting.seconds(p.cpu_seconds_per_step)),
            (
                "CPU time ratio",
                _of_result(run, lambda r: formatting.ratio_with_interval(r.cpu_ratio)),
            ),
            ("throughput", lambda p: formatting.rate(p.items_per_second, run.unit)),
            ("energy", lambda p: formatting.energy(p.energy_joules)),
        ),
    )


def memory(run: Run) -> Table | None:
    """Return the memory that each arm's trials needed."""
    return _known(
        run.by_kind,
        (
            ("peak allocated (CUDA)", lambda p: formatting.size(p.memory.allocated)),
            ("peak reserved (CUDA)", lambda p: formatting.size(p.memory.reserved)),
            ("peak resident above start", lambda p: formatting.size(p.memory.resident)),
            ("anonymous at the end", lambda p: formatting.size(p.memory.end_anonymous)),
            ("file-backed at the end", lambda p: formatting.size(p.memory.end_file)),
        ),
    )


def model(run: Run) -> Table | None:
    """Return what each arm's model is and does."""
    return _known(
        run.figures.items(),
        (
            ("FLOPs of a step", lambda p: formatting.flops(p.model.flops_per_step)),
            ("FLOPs coverage", lambda p: formatting.percent(p.model.flops_coverage)),
            ("parameters", _parameters("trainable")),
            ("frozen", _parameters("frozen")),
            ("buffers", _parameters("buffers")),
            ("model size", lambda p: formatting.size(p.model.bytes)),
            ("size ratio", _of_result(run, lambda r: formatting.ratio(r.size_ratio))),
            ("FLOPs of inference", lambda p: formatting.flops(p.model.flops_per_item)),
            ("their ratio", _of_result(run, lambda r: formatting.ratio(r.inference_flops_ratio))),
            ("latency, 1 item", lambda p: formatting.seconds(p.model.latency_seconds)),
            ("latency ratio", _of_result(run, lambda r: formatting.ratio(r.latency_ratio))),
            (f"inference, {MANY} items", lambda p: _many_at_once(run, p)),
            ("throughput ratio", _of_result(run, lambda r: formatting.ratio(r.throughput_ratio))),
        ),
    )


def phase_names(run: Run) -> list[str]:
    """Return the phases that any arm's steps went through, in order."""
    seen = {name for _, own in run.by_kind for name in own.phases}
    return [*(name for name in PHASES if name in seen), *sorted(seen.difference(PHASES))]


def phases(run: Run) -> Table | None:
    """Return how each arm's step time divides, as seconds of a step and as shares."""
    names = phase_names(run)
    outside = ("evaluation, all of training", "after training")
    made = _known(
        run.by_kind,
        (
            *((name.replace("_", " "), _phase(name)) for name in names),
            *((title, _outside(name)) for title, name in zip(outside, OUTSIDE, strict=True)),
        ),
    )
    return made if names else None


def setups(run: Run) -> Table | None:
    """Return what happens before the steady state, and when it has paid back."""
    pays = _of_result(run, lambda r: _steps(r.payback_steps if _surely_faster(r) else None))
    return _known(
        run.figures.items(),
        (
            ("process start", lambda p: formatting.seconds(p.setup.startup)),
            ("building data and model", lambda p: formatting.seconds(p.setup.build)),
            ("first steps above the usual", lambda p: formatting.seconds(p.setup.first)),
            ("the same in later trials", lambda p: formatting.seconds(p.setup.later)),
            ("pays back after", pays),
            ("this training makes", _of_result(run, lambda r: _steps(r.planned_steps))),
        ),
    )


def _known(figures: Iterable[tuple[str, Figures]], columns: Columns) -> Table | None:
    """Return a row for each, without the columns that none knows anything of."""
    found = [[arm, *(show(p) for _, show in columns)] for arm, p in figures]
    made = table(["arm", *(title for title, _ in columns)], found)
    return made.known() if made else None


def _row(row: Row) -> list[str]:
    basis = " (training)" if row.basis == "training" else ""
    fresh = ", fresh" if row.confirmed else ""
    return [
        row.arm,
        row.verdict or NONE,
        f"{row.time.text}{basis}" if row.time else formatting.UNKNOWN,
        row.memory.text if row.memory else formatting.UNKNOWN,
        row.quality_text or NONE,
        f"{row.pairs}{fresh}",
    ]


def _of_result(run: Run, show: Callable[[ArmResult], str]) -> Shown:
    """Return a column that shows something of the verdict; the baseline has none."""

    def shown(own: Figures) -> str:
        result = run.result(own.arm)
        return show(result) if result else NONE

    return shown


def _training(own: Figures) -> str:
    if not own.whole_trainings:
        return "not run to the end"
    return formatting.seconds(own.train_seconds)


def _to_target(run: Run, own: Figures) -> str:
    if not own.whole_trainings or run.header.target is None:
        return NONE
    result = run.result(own.arm)
    whole = run.comparison
    seconds = result.seconds_to_target if result else whole.baseline_seconds_to_target
    return formatting.to_target(seconds, result.reached if result else whole.baseline_reached)


def _parameters(name: str) -> Shown:
    return lambda p: formatting.count(getattr(p.model.parameters, name, None))


def _many_at_once(run: Run, own: Figures) -> str:
    """Return the rate of the largest batch, and how many items it held where there were fewer."""
    many = own.model.many
    if many is None:
        return formatting.UNKNOWN
    few = f" ({formatting.number(many, 'item')})" if many != MANY else ""
    return formatting.rate(own.model.items_per_second, run.header.unit) + few


def _phase(name: str) -> Shown:
    def shown(own: Figures) -> str:
        found, whole = own.phases.get(name), sum(own.phases.values())
        if found is None or not whole:
            return NONE
        return f"{formatting.seconds(found)} ({formatting.percent(found / whole)})"

    return shown


def _outside(name: str) -> Shown:
    return lambda p: formatting.seconds(p.outside.get(name))


def _surely_faster(result: ArmResult) -> bool:
    """Tell whether there is a gain in time that could pay anything back."""
    low = result.time_ratio.low if result.time_ratio else None
    return low is not None and low > 1


def _steps(found: int | None) -> str:
    return NONE if found is None else formatting.number(found, "step")
