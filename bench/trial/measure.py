"""Measure one trial: build, train, and turn whatever happens into a measurement."""

from __future__ import annotations

import contextlib
import os
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import torch
import torch._dynamo  # the first optimizer imports it otherwise, at a second for every trial

import bench
from bench.errors import BenchError, Diverged, NotApplicable, reason_of, shown
from bench.job import Job
from bench.machine.energy import joules_between, read_counters
from bench.machine.environment import cpu_stall_seconds, load_average
from bench.machine.memory import (
    available_bytes,
    children_bytes,
    is_out_of_memory,
    limit_memory,
    resident,
)
from bench.machine.surroundings import Clocks, Snapshot, turned_clock
from bench.recipes import assembly
from bench.recipes.combination import effect_of, rounding_of, work_of
from bench.recipes.loading import frame_of
from bench.records.measurement import Measurement, Status, Surroundings
from bench.trial.describe import describe
from bench.trial.facts import advisory_facts, training_facts
from bench.trial.rehearsal import attributed, check_compiled, rehearse_trial, shortened
from bench.trial.spec import Findings, Outcome, TrialSpec
from bench.trial.training import StepLimit, train


def observe(trial: TrialSpec, requested: float) -> Outcome:
    """Measure, turning whatever goes wrong into a measurement that says so.

    `requested` is when the trial was asked for, by the monotonic clock.
    """
    facts: dict[str, Any] = {
        **_identity(trial),
        "started": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "startup_seconds": monotonic() - requested,
    }
    stalled, refused = cpu_stall_seconds(), False
    try:
        _measure(trial, facts)
        facts["status"] = Status.OK
    except NotApplicable as error:
        facts |= {"status": Status.NOT_APPLICABLE, "reason": shown(error)}
    except BenchError as error:
        facts |= {"status": Status.FAILED, "reason": shown(error)}
        refused = True
    except Diverged as error:
        facts |= {"status": Status.DIVERGED, "reason": shown(error)}
    except _Untimed as error:
        facts |= {"status": Status.FAILED, "reason": str(error)}
    except BaseException as error:  # noqa: BLE001 - a failure is a measurement too, an exit also
        facts |= _failure(error)
    wall = facts["wall_seconds"] = monotonic() - requested
    facts["load_average"] = load_average()
    if stalled is not None:
        facts["cpu_pressure"] = _share((cpu_stall_seconds() or 0) - stalled, wall)
    findings = facts.pop("findings", None)
    return Outcome(
        measurement=Measurement(**facts), refused=refused, findings=findings,
        home=str(Path(bench.__file__).parent),
    )  # fmt: skip


def _identity(trial: TrialSpec) -> dict[str, Any]:
    return {
        "arm": trial.arm,
        "pair": trial.pair,
        "seed": trial.seed,
        "kind": trial.kind,
        "stage": trial.stage,
        "device": trial.device,
        "threads": trial.threads,
        "recipe": trial.recipe.model_dump(mode="json"),
    }


def _failure(error: BaseException) -> dict[str, Any]:
    reason = reason_of(error)
    if is_out_of_memory(error):
        return {"status": Status.OUT_OF_MEMORY, "reason": reason}
    with contextlib.suppress(Exception):  # its text, or the log that it goes to, may be broken too
        traceback.print_exc()
    places = traceback.extract_tb(error.__traceback__)
    place = frame_of(error) or (places[-1] if places else None)
    where = f" ({Path(place.filename).name}, line {place.lineno})" if place else ""
    return {"status": Status.FAILED, "reason": shown(reason + where)}


def _measure(trial: TrialSpec, facts: dict[str, Any]) -> None:
    device = torch.device(trial.device)
    _prepare_process(trial, device)
    base, begun = resident(), monotonic()
    facts["base_rss_bytes"] = base.now
    techniques = assembly.techniques_of(trial.recipe, trial.places)
    facts |= {"effect": str(effect_of(techniques)), "work": work_of(techniques)}
    facts["rounding"] = rounding_of(techniques)
    with attributed(techniques, "it can't be applied"):
        others = shortened if trial.kind == "build" else assembly.unchanged
        job = assembly.build(trial.recipe, trial.places, device, trial.seed, others=others)
    facts["build_seconds"] = monotonic() - begun
    facts["data"] = job.data
    facts["planned_epochs"] = job.epochs
    facts["epoch_items"] = job.epoch_items
    if trial.kind == "build":
        rehearse_trial(trial, techniques, job)
        if trial.describe:
            facts["findings"] = _described(trial, device)
        return
    watch = _Watch(device, base.anonymous, base.file)
    limit = StepLimit() if trial.kind == "step" else None
    try:
        result = train(job, limit, on_trained=watch.read)
    except Exception:
        watch.check_clocks()  # times that can't be are refused as they are recorded
        raise
    facts |= watch.facts | training_facts(result, trial.metric)
    check_compiled(techniques, facts["compiled"])
    facts |= advisory_facts(trial, job, result.model)


def _described(trial: TrialSpec, device: torch.device) -> Findings:
    def build() -> Job:
        return assembly.build(trial.recipe, trial.places, device, trial.seed, others=shortened)

    return describe(build, trial.metric, Path(trial.scratch))


class _Untimed(Exception):  # noqa: N818 - what became of a trial
    """The clock that measured was turned meanwhile."""


@dataclass
class _Watch:
    """Reads memory, energy and surroundings when training ends, before others need memory."""

    device: torch.device
    base_anonymous: int | None
    base_file: int | None
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = Snapshot.take()
        self._counters = read_counters(self.device.type)

    def check_clocks(self) -> None:
        """Raise `_Untimed` where the clock that measures disagrees with the machine's."""
        if turned := turned_clock(self._before.clocks, Clocks.read()):
            raise _Untimed(turned)

    def read(self) -> None:
        self.check_clocks()
        after = Snapshot.take()
        self.facts["surroundings"] = Surroundings(**after.since(self._before))
        self.facts["threads"] = torch.get_num_threads()
        now, counters = resident(), read_counters(self.device.type)
        self.facts["energy_joules"] = joules_between(self._counters, counters)
        self.facts["peak_rss_bytes"] = None if now.peak is None else now.peak + children_bytes()
        if now.anonymous is not None and self.base_anonymous is not None:
            self.facts["end_anonymous_bytes"] = now.anonymous - self.base_anonymous
        if now.file is not None and self.base_file is not None:
            self.facts["end_file_bytes"] = now.file - self.base_file
        if self.device.type == "cuda":
            self.facts["peak_allocated_bytes"] = torch.cuda.max_memory_allocated(self.device)
            self.facts["peak_reserved_bytes"] = torch.cuda.max_memory_reserved(self.device)


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


def _share(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0
