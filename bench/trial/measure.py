"""Measure one trial: build, train, and turn whatever happens into a measurement."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import torch
import torch._dynamo  # the first optimizer imports it otherwise, at a second for every trial

import bench
from bench.errors import BenchError, NotApplicable
from bench.interception.edits import Written
from bench.interception.script import Script
from bench.job import Job
from bench.machine.energy import joules_between, read_counters
from bench.machine.environment import cpu_stall_seconds, load_average
from bench.machine.memory import (
    Resident,
    available_bytes,
    children_bytes,
    limit_memory,
    resident,
)
from bench.machine.surroundings import Clocks, Snapshot, turned_clock
from bench.recipes import assembly
from bench.recipes.combination import SAME_WORK, effect_of, rounding_of, touches_of, work_of
from bench.recipes.script import is_script
from bench.records.measurement import (
    Ending,
    Measurement,
    Preparation,
    Status,
    Surroundings,
    Training,
    Usage,
    Work,
)
from bench.records.profile import Profiled
from bench.records.schema import Record
from bench.technique import Effect, Parts, Technique
from bench.trial.describe import describe
from bench.trial.facts import advisory_facts, training_facts
from bench.trial.failure import Untimed, failure_of
from bench.trial.group_check import check_group
from bench.trial.item_scores import told_of_items
from bench.trial.profile import Profiler, ScriptProfiler
from bench.trial.rehearsal import attributed, check_compiled, rehearse_trial, shortened
from bench.trial.script import run_script
from bench.trial.script_facts import advice_of, training_of
from bench.trial.script_flops import TIMED
from bench.trial.script_writing import written
from bench.trial.spec import Findings, Outcome, TrialSpec
from bench.trial.training import StepLimit, train


def observe(trial: TrialSpec, requested: float) -> Outcome:
    """Measure, turning whatever goes wrong into a measurement that says so.

    `requested` is when the trial was asked for, by the monotonic clock.
    """
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    startup, stalled = monotonic() - requested, cpu_stall_seconds()
    facts: list[Record] = [trial.identity]
    status, reason, findings, refused = Status.OK, None, None, False
    try:
        findings = _measure(trial, facts)
    except BaseException as error:  # noqa: BLE001 - a failure is a measurement too, an exit also
        status, reason = failure_of(error)
        refused = isinstance(error, BenchError) and not isinstance(error, NotApplicable)
    wall = monotonic() - requested
    ending = Ending(
        status=status, reason=reason, started=started, startup_seconds=startup, wall_seconds=wall,
        load_average=load_average(), cpu_pressure=_pressure(stalled, wall),
    )  # fmt: skip
    return Outcome(
        measurement=Measurement.of(*facts, ending), refused=refused,
        findings=findings if isinstance(findings, Findings) else None,
        written=findings if isinstance(findings, Written) else None,
        home=str(Path(bench.__file__).parent),
    )  # fmt: skip


def _measure(trial: TrialSpec, facts: list[Record]) -> Findings | Written | None:
    """Add what is found, as soon as it is: what was known before a failure is kept."""
    device = torch.device(trial.device)
    _prepare_process(trial, device)
    base = resident()
    techniques = assembly.techniques_of(trial.recipe, trial.places)
    facts.append(_declared(trial, techniques, base))
    if is_script(trial.recipe) and trial.describe:
        return written(trial, techniques)
    if is_script(trial.recipe):
        _measure_script(
            trial, techniques, _Watch(device, base.anonymous, base.file, base.now), facts
        )
        return None
    return _measure_job(trial, techniques, facts, base)


def _declared(trial: TrialSpec, techniques: Sequence[Technique], base: Resident) -> Preparation:
    """Return what is promised of a trial; of another revision nothing but what its kind implies."""
    if not trial.declares:
        work: Work | None = "same work" if trial.kind == "step" else None
        return Preparation(base_rss_bytes=base.now, work=work)
    if trial.resettled:
        other: Work = "other mathematics"
        return Preparation(base_rss_bytes=base.now, effect=str(Effect.LEARNING), work=other)
    return Preparation(
        base_rss_bytes=base.now, effect=str(effect_of(techniques)), work=work_of(techniques),
        rounding=rounding_of(techniques), touches=_named(touches_of(techniques)),
    )  # fmt: skip


def _measure_job(
    trial: TrialSpec, techniques: Sequence[Technique], facts: list[Record], base: Resident
) -> Findings | None:
    begun, device = monotonic(), torch.device(trial.device)
    with attributed(techniques, "it can't be applied"):
        others = shortened if trial.kind == "build" else assembly.unchanged
        job = assembly.build(trial.recipe, trial.places, device, trial.seed, others=others)
    built = Preparation(
        build_seconds=monotonic() - begun, data=job.data, planned_epochs=job.epochs,
        epoch_items=job.epoch_items,
    )  # fmt: skip
    facts.append(built)
    if trial.kind == "build":
        rehearsed = rehearse_trial(trial, techniques, job)
        check_group(trial, job, rehearsed)
        facts.append(Training(step_seconds=tuple(rehearsed.seconds)))
        return _described(trial, device) if trial.describe else None
    watch = _Watch(device, base.anonymous, base.file)
    limit = StepLimit.of(trial.least_steps) if trial.kind == "step" else None
    profiler = Profiler(job, base.now) if trial.profile else None
    watched = profiler.watched() if profiler else job
    try:
        result = train(
            watched, limit, on_trained=lambda: facts.append(watch.read()),
            on_first_step=lambda: watch.look_at_workers(1),
        )  # fmt: skip
    except Exception:
        watch.check_clocks()  # times that can't be are refused as they are recorded
        raise
    ran_on = trial.model_copy(update={"threads": torch.get_num_threads()})
    facts += [ran_on.identity, trained := training_facts(result, trial.metric, trial.bounds)]
    check_compiled(techniques, trained.compiled)
    if profiler:
        facts.append(Profiled(profile=profiler.read(result.timeline)))
    if job.group.rank:
        return None  # what only advises, the first process tells
    advice = advisory_facts(trial, job, result.model)
    facts += [advice] if limit else told_of_items(result, trial.metric, techniques, advice)
    return None


def _measure_script(
    trial: TrialSpec, techniques: Sequence[Technique], watch: _Watch, facts: list[Record]
) -> None:
    """Add what is found of a script; in a rehearsal, that it can be run."""
    seen: list[ScriptProfiler] = []

    def look(script: Script, folder: Path) -> None:
        script.on_step = watch.look_at_workers  # a rehearsal, which times nothing, has its own
        if trial.profile:
            seen.append(ScriptProfiler(script, watch.base_bytes))

    try:
        ran = run_script(trial, techniques, lambda: facts.append(watch.read()), look)
    except Exception:
        watch.check_clocks()
        raise
    if trial.kind == "build":
        steps = ran.course.timeline.steps[:TIMED]
        facts.append(Training(step_seconds=tuple(step.wall for step in steps)))
        if ran.flops and not any(technique.effect in SAME_WORK for technique in techniques):
            facts.append(ran.flops)
        return
    ran_on = trial.model_copy(update={"threads": torch.get_num_threads()})
    facts += [ran_on.identity, trained := training_of(ran, trial)]
    check_compiled(techniques, trained.compiled)
    for one in seen:
        facts.append(Profiled(profile=one.read(ran.course.timeline, ran.course.closures)))
    facts.append(advice_of(ran, Path(trial.scratch)))


def _described(trial: TrialSpec, device: torch.device) -> Findings:
    def build() -> Job:
        return assembly.build(trial.recipe, trial.places, device, trial.seed, others=shortened)

    return describe(build, trial.metric, Path(trial.scratch))


@dataclass
class _Watch:
    """Reads memory, energy and surroundings when training is finished, before it is evaluated."""

    device: torch.device
    base_anonymous: int | None
    base_file: int | None
    base_bytes: int | None = None

    def __post_init__(self) -> None:
        self._before = Snapshot.take()
        self._counters = read_counters(self.device.type)
        self._workers = 0

    def look_at_workers(self, steps: int) -> None:
        """Note what processes hold that a training has started: at its end they are gone."""
        if steps == 1:  # of a script, the time that it takes is of the second step: warm-up
            self._workers = children_bytes()

    def check_clocks(self) -> None:
        """Raise `Untimed` where the clock that measures disagrees with the machine's."""
        if turned := turned_clock(self._before.clocks, Clocks.read()):
            raise Untimed(turned)

    def read(self) -> Usage:
        """Return what training used; raise `Untimed` where that can't be told."""
        self.check_clocks()
        after, cuda = Snapshot.take(), self.device.type == "cuda"
        now, counters = resident(), read_counters(self.device.type)
        workers = max(self._workers, children_bytes())
        return Usage(
            surroundings=Surroundings(**after.since(self._before)),
            energy_joules=joules_between(self._counters, counters),
            peak_rss_bytes=None if now.peak is None else now.peak + workers,
            end_anonymous_bytes=_change(self.base_anonymous, now.anonymous),
            end_file_bytes=_change(self.base_file, now.file),
            peak_allocated_bytes=torch.cuda.max_memory_allocated(self.device) if cuda else None,
            peak_reserved_bytes=torch.cuda.max_memory_reserved(self.device) if cuda else None,
        )


def _prepare_process(trial: TrialSpec, device: torch.device) -> None:
    torch.set_num_threads(trial.threads)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(trial.scratch) / "inductor")
    os.environ["TRITON_CACHE_DIR"] = str(Path(trial.scratch) / "triton")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        if trial.memory_limit_bytes:
            whole = torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, trial.memory_limit_bytes / whole))
    else:
        limit_memory(trial.memory_limit_bytes or int(0.95 * available_bytes()))


def _pressure(stalled: float | None, wall: float) -> float | None:
    """Return the share of the time since `stalled` in which some task waited for a CPU."""
    now = cpu_stall_seconds()
    if stalled is None or now is None or wall <= 0:
        return None
    return min(1.0, max(0.0, (now - stalled) / wall))


def _named(touches: Parts | None) -> tuple[str, ...] | None:
    return None if touches is None else tuple(sorted(touches))


def _change(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
