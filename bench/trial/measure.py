"""Measure one trial: build, train, and turn whatever happens into a measurement."""

from __future__ import annotations

import os
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # the first optimizer imports it otherwise, at a second for every trial
from torch import nn

from bench.errors import BenchError, Diverged, NotApplicable
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
from bench.model.weights_file import file_bytes
from bench.recipes import assembly
from bench.recipes.combination import effect_of, work_of
from bench.records.measurement import Data, Measurement, Parameters, Status
from bench.technique import Effect
from bench.trial.flops import count_flops, cross_check, whole_forward_flops
from bench.trial.inference import measure_inference
from bench.trial.spec import Outcome, TrialSpec
from bench.trial.training import StepLimit, Trained, train


def observe(trial: TrialSpec, requested: float) -> Outcome:
    """Measure, turning whatever goes wrong into a measurement that says so."""
    facts: dict[str, Any] = {
        **_identity(trial),
        "started": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "startup_seconds": time.time() - requested,
    }
    stalled, refused = cpu_stall_seconds(), False
    try:
        _measure(trial, facts)
        facts["status"] = Status.OK
    except NotApplicable as error:
        facts |= {"status": Status.NOT_APPLICABLE, "reason": str(error)}
    except BenchError as error:
        facts |= {"status": Status.FAILED, "reason": str(error)}
        refused = True
    except Diverged as error:
        facts |= {"status": Status.DIVERGED, "reason": str(error)}
    except Exception as error:  # noqa: BLE001 - a failure is a measurement too
        facts |= _failure(error)
    facts["wall_seconds"] = time.time() - requested
    facts["load_average"] = load_average()
    if stalled is not None:
        facts["cpu_pressure"] = _share((cpu_stall_seconds() or 0) - stalled, facts["wall_seconds"])
    return Outcome(measurement=Measurement(**facts), refused=refused)


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


def _failure(error: Exception) -> dict[str, Any]:
    text = str(error).strip().splitlines()
    message = f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__
    if is_out_of_memory(error):
        return {"status": Status.OUT_OF_MEMORY, "reason": message}
    traceback.print_exc()  # into the trial's log; the record keeps where it was raised
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return {"status": Status.FAILED, "reason": f"{message} ({where})"}


def _measure(trial: TrialSpec, facts: dict[str, Any]) -> None:
    device = torch.device(trial.device)
    _prepare_process(trial, device)
    base, begun = resident(), time.perf_counter()
    facts["base_rss_bytes"] = base.now
    techniques = assembly.techniques_of(trial.recipe, trial.places)
    facts |= {"effect": str(effect_of(techniques)), "work": work_of(techniques)}
    job = assembly.build(trial.recipe, trial.places, device, trial.seed)
    facts["build_seconds"] = time.perf_counter() - begun
    facts["data"] = Data(**{name: getattr(job.data, name) for name in Data.model_fields})
    facts["planned_epochs"] = job.epochs
    facts["epoch_items"] = job.epoch_items
    if trial.kind == "build":
        return
    watch = _Watch(device, base.anonymous, base.file)
    result = train(job, StepLimit() if trial.kind == "step" else None, on_trained=watch.read)
    facts |= watch.facts | _training_facts(result, trial.metric)
    facts["compiled"] = _compiled()
    facts |= _model_facts(job.model, result.model, Path(trial.scratch))
    if trial.kind == "full":
        facts["inference"] = measure_inference(job, result.model)
    if trial.count_flops:
        facts |= _flops_facts(trial, job, device)
    if "finish" in job.taken:
        facts["forward_flops_per_item"] = whole_forward_flops(result.model, job.sample(1))


@dataclass
class _Watch:
    """Reads memory and energy at the moment training ends, before anything else needs memory."""

    device: torch.device
    base_anonymous: int | None
    base_file: int | None
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._counters = read_counters(self.device.type)

    def read(self) -> None:
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


def _training_facts(result: Trained, metric: str) -> dict[str, Any]:
    line = result.timeline
    first = line.warmup
    phases = line.phase_seconds(first)
    if result.evaluations:
        phases |= {"evaluate": result.evaluate_seconds, "finish": result.finish_seconds}
    last = result.evaluations[-1].values if result.evaluations else {}
    if result.evaluations and metric not in last:
        raise Diverged(f"the metric {metric} is not a finite number after training")
    return {
        "metric": last.get(metric),
        "metrics": tuple(result.evaluations),
        "losses": tuple(result.losses),
        "epochs": result.progress.epoch,
        "warmup_step_seconds": tuple(step.wall for step in line.steps[:first]),
        "step_seconds": tuple(step.wall for step in line.steps[first:]),
        "window_seconds": line.window_seconds(first),
        "train_seconds": line.seconds + result.finish_seconds,
        "cpu_seconds": sum(step.cpu for step in line.steps[first:]),
        "items": sum(step.items for step in line.steps[first:]),
        "items_seen": sum(step.items for step in line.steps),
        "phase_seconds": phases,
    }


def _model_facts(trained: nn.Module, deployed: nn.Module, scratch: Path) -> dict[str, Any]:
    weights = {id(p): p for p in trained.parameters()}.values()
    return {
        "parameters": Parameters(
            trainable=sum(p.numel() for p in weights if p.requires_grad),
            frozen=sum(p.numel() for p in weights if not p.requires_grad),
            buffers=sum(b.numel() for b in trained.buffers()),
        ),
        "model_bytes": file_bytes(deployed, scratch),
    }


def _flops_facts(trial: TrialSpec, job: Job, device: torch.device) -> dict[str, Any]:
    """Count model FLOPs: without what only changes arithmetic, which recomputes or hides calls.

    On a fresh job where techniques took part, or where batches differ in shape from one another.
    """
    count = None if job.taken else count_flops(job)
    if count is None or not count.one_shape:
        changed = frozenset({Effect.LEARNING, Effect.MODEL})
        job = assembly.build(trial.recipe, trial.places, device, trial.seed, only=changed)
        count = count_flops(job)
    facts: dict[str, Any] = {
        "model_flops_per_step": count.per_step,
        "forward_flops_per_item": count.forward_per_item,
        "flops_coverage": count.coverage,
        "flops_uncounted": count.uncounted,
    }
    if trial.cross_check:
        facts["flops_check"] = cross_check(job.model, job.sample(1))
    return facts


def _compiled() -> bool:
    return bool(torch._dynamo.utils.counters["stats"]["unique_graphs"])


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
