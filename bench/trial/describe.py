"""Describe what a job offers, from one real step: batch, loss, metrics, whether seeds repeat."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from bench.batches import Batch
from bench.errors import BenchError, NotApplicable, reason_of
from bench.job import Job, Progress
from bench.model.copies import copied
from bench.model.hooks import listening
from bench.model.parts_of_loss import parts_of_loss
from bench.model.weights_file import file_bytes
from bench.random_state import undisturbed
from bench.records.item_scores import ItemScores
from bench.records.schema import Json
from bench.trial.item_scores import packed_scores
from bench.trial.rehearsal import deployed, rehearse
from bench.trial.spec import Findings


def describe(build: Callable[[], Job], metric: str, scratch: Path) -> Findings:
    """Build a job some times over, and return what its parts do."""
    begun = time.perf_counter()
    job = build()
    built = time.perf_counter()
    steps = rehearse(job)
    stepped = time.perf_counter()
    metrics = deployed(job)
    seconds = {
        "build": built - begun, "steps": stepped - built, "evaluate": time.perf_counter() - stepped,
    }  # fmt: skip
    fresh = build()
    batch = first_batch(fresh)
    return Findings(
        items=fresh.items(batch),
        batch=layout_of(batch),
        metric=metric,
        metrics={name: _finite(float(value)) for name, value in metrics.items()},
        item_scores=_items_of(metrics, metric),
        repeats=steps.same(rehearse(build())),
        threads=torch.get_num_threads(),
        model_bytes=file_bytes(job.model, scratch),
        seconds=seconds,
        **_loss_facts(fresh, batch),
    )


def _items_of(found: Mapping[str, float], metric: str) -> str | None:
    packed = packed_scores(found, metric)
    if isinstance(packed, ItemScores):
        return f"{packed.count} test items are told one by one"
    return None if packed is None else f"what test items scored is NOT kept: {packed}"


def _loss_facts(job: Job, batch: Batch) -> Json:
    """Return the loss of a batch, whether it is the mean of its parts, and what it calls."""
    given = job.model
    calls: bool | None = None
    unheard: str | None = None
    with torch.no_grad(), undisturbed(job.device):
        try:
            given = copied(job.model)  # or a loss that calls the model around it seems to call it
            with listening(given) as heard:
                loss = float(job.loss(given, batch))
            calls = bool(heard.calls)
        except NotApplicable as why:
            unheard, loss = str(why), float(job.loss(given, batch))
    facts: Json = {"loss": _finite(loss), "calls_forward": calls, "unheard": unheard}
    try:
        found = parts_of_loss(job, batch, job.split(batch, 2))
    except BenchError as reason:
        return facts | {"unsplit": str(reason)}
    except Exception as error:  # noqa: BLE001 - it only advises: why it can't be told is said
        return facts | {"unsplit": reason_of(error)}
    whole, mean = _finite(found.whole), _finite(found.mean)
    return facts | {"whole": whole, "parts": mean, "mean_of_parts": found.is_mean}


def first_batch(job: Job) -> Batch:
    """Return the first batch of a job of which another one has drawn before."""
    for batch in job.batches(Progress(job.epochs, epoch_steps=job.epoch_steps)):
        return batch
    raise BenchError(
        "batches give none when they are drawn from once more: what they are drawn from is to be "
        "like a DataLoader or a list, and no iterator that is used up"
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def layout_of(batch: Batch) -> str:
    """Return a batch's tensors by dtype and shape, in the form in which they are nested."""
    if isinstance(batch, Tensor):
        return f"{str(batch.dtype).removeprefix('torch.')} {tuple(batch.shape)}"
    if isinstance(batch, Mapping):
        return "{" + ", ".join(f"{key}: {layout_of(part)}" for key, part in batch.items()) + "}"
    if isinstance(batch, list | tuple) and any(isinstance(x, str | int | float) for x in batch):
        return f"{len(batch)} x {type(batch[0]).__name__}"
    if isinstance(batch, list | tuple):
        return "(" + ", ".join(map(layout_of, batch)) + ")"
    return "None" if batch is None else type(batch).__name__
