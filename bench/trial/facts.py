"""Facts about a trained job, and what becomes of those that can't be told.

What is judged (times, losses, metrics, memory) must be there. What only advises (FLOPs, the size of
the file, inference) costs no trial: it is unknown then, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import torch
from torch import nn

from bench.errors import Diverged, reason_of
from bench.job import Job
from bench.model.train_mode import modes_kept
from bench.model.weights_file import file_bytes, state_of
from bench.random_state import undisturbed
from bench.recipes import assembly
from bench.records.header import Bounds
from bench.records.measurement import Advice, Evaluation, Parameters, Training
from bench.technique import Effect
from bench.trial.cross_check import cross_check
from bench.trial.evaluated import check_evaluations
from bench.trial.flops import count_flops, items_of_sample, whole_forward_flops
from bench.trial.inference import measure_inference
from bench.trial.spec import TrialSpec
from bench.trial.timing import Timeline
from bench.trial.training import Trained


def parameters_of(models: Sequence[nn.Module]) -> Parameters:
    """Return how many numbers the trained models hold; a weight that they share counts once."""
    weights = {id(p): p for model in models for p in model.parameters()}.values()
    return Parameters(
        trainable=sum(p.numel() for p in weights if p.requires_grad),
        frozen=sum(p.numel() for p in weights if not p.requires_grad),
        buffers=sum(b.numel() for model in models for b in model.buffers()),
    )


def advised(known: Advice, name: str, tell: Callable[[], Advice]) -> Advice:
    """Return `known` with what `tell` adds; where that raises, `name` is unknown, and why."""
    try:
        more = tell()
    except Exception as error:  # noqa: BLE001 - advice costs no trial
        more = Advice(unknown={name: reason_of(error)})
    found = {field: getattr(more, field) for field in more.model_fields_set}
    return known.model_copy(update={**found, "unknown": {**known.unknown, **more.unknown}})


def training_facts(result: Trained, metric: str, bounds: Bounds | None = None) -> Training:
    """Return what training took and gave; raise `Diverged` where the metric is none it can be."""
    line = result.timeline
    found = timed(line)
    phases = found.phase_seconds
    if result.evaluations:
        phases = phases | {"evaluate": result.evaluate_seconds, "finish": result.finish_seconds}
    last = result.evaluations[-1].values if result.evaluations else {}
    if result.evaluations and metric not in last:
        raise Diverged(f"the metric {metric} is not a finite number after training")
    check_evaluations(result.evaluations, metric, bounds)
    return found.model_copy(
        update={
            "metric": last.get(metric),
            "metrics": tuple(_with_items(result.evaluations, line)),
            "losses": tuple(result.losses),
            "epochs": result.progress.epoch,
            "train_seconds": line.seconds + result.finish_seconds,
            "phase_seconds": phases,
        }
    )


def _with_items(evaluations: Sequence[Evaluation], line: Timeline) -> Iterator[Evaluation]:
    """Yield evaluations with the items that their steps trained on."""
    seen = [0, *accumulate(step.items for step in line.steps)]
    for one in evaluations:
        items = seen[one.step] if one.step < len(seen) else None
        yield one.model_copy(update={"items": items})


def timed(line: Timeline) -> Training:
    """Return what the steps of a training took."""
    first = line.warmup
    return Training(
        warmup_step_seconds=tuple(step.wall for step in line.steps[:first]),
        step_seconds=tuple(step.wall for step in line.steps[first:]),
        window_seconds=line.window_seconds(first),
        cpu_seconds=sum(step.cpu for step in line.steps[first:]),
        items=sum(step.items for step in line.steps[first:]),
        largest_batch=max((step.items for step in line.steps), default=None),
        items_seen=sum(step.items for step in line.steps),
        phase_seconds=line.phase_seconds(first),
        compiled=bool(torch._dynamo.utils.counters["stats"]["unique_graphs"]),
    )


def advisory_facts(trial: TrialSpec, job: Job, deployed: nn.Module) -> Advice:
    """Return what is known of the model and its deployment beside what is judged."""
    known = Advice(parameters=parameters_of([job.model]))
    known = advised(known, "model_bytes", lambda: _file_facts(deployed, Path(trial.scratch)))
    if trial.kind == "full" and trial.inference:
        known = advised(
            known, "inference", lambda: Advice(inference=measure_inference(job, deployed))
        )
    if trial.kind == "full" and trial.validates and job.validate is not None:
        known = advised(known, "validation_loss", lambda: _validated(job, deployed))
    if trial.count_flops:
        known = advised(known, "model_flops_per_step", lambda: _flops_facts(trial, job))
    if "finish" in job.taken:
        known = advised(known, "forward_flops_per_item", lambda: _deployed_flops(job, deployed))
    return known


def _validated(job: Job, deployed: nn.Module) -> Advice:
    assert job.validate is not None
    with undisturbed(job.device), modes_kept(deployed):
        loss = float(job.validate(deployed))
    return Advice(validation_loss=loss if math.isfinite(loss) else None)


def _file_facts(deployed: nn.Module, scratch: Path) -> Advice:
    size = file_bytes(deployed, scratch)
    if size is not None:
        return Advice(model_bytes=size)
    why = "; ".join(state_of(deployed).left_out.values())
    return Advice(unknown={"model_bytes": why})


def _flops_facts(trial: TrialSpec, job: Job) -> Advice:
    """Count model FLOPs: without what only changes arithmetic, which recomputes or hides calls.

    On a fresh job where techniques took part, or where batches differ in shape from one another.
    """
    count = None if job.taken else count_flops(job)
    if count is None or not count.one_shape:
        changed = frozenset({Effect.LEARNING, Effect.MODEL})
        whole = assembly.alone(trial.recipe, trial.places)  # others of a group are gone by now
        job = assembly.build(whole, trial.places, job.device, trial.seed, only=changed)
        count = count_flops(job)
    known = Advice(
        model_flops_per_step=count.per_step,
        forward_flops_per_item=count.forward_per_item,
        flops_coverage=count.coverage,
        flops_uncounted=count.uncounted,
        unknown={"forward_flops_per_item": count.unknown} if count.unknown else {},
    )
    if not trial.cross_check:
        return known
    model = job.model
    return advised(
        known, "flops_check", lambda: Advice(flops_check=cross_check(model, job.sample(1)))
    )


def _deployed_flops(job: Job, deployed: nn.Module) -> Advice:
    whole = whole_forward_flops(deployed, job.sample(1))
    return Advice(forward_flops_per_item=None if whole is None else whole // items_of_sample(job))
