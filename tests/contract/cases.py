"""Every registered technique on every baseline, through the code that real runs go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench import assembly, registry, request
from bench.job import Job, Progress
from bench.launch import prepared
from bench.measurement import Measurement
from bench.recipe import Recipe
from bench.technique import Effect, Technique
from bench.training import StepLimit, train
from tests.records import measurement

CPU = torch.device("cpu")
STEPS = 20
JOBS = Path(__file__).resolve().parents[1] / "jobs.py"
SMALL: dict[str, dict[str, Any]] = {
    "timehut": {
        "dataset": "UnitTest", "epochs": 4, "batch_size": 4, "hidden": 8, "depth": 2, "output": 8,
    },
    "s4-ecg": {
        "dataset": "synthetic", "synthetic_records": 30, "epochs": 3, "batch_size": 8,
        "layers": 2, "residual": 4, "skip": 8, "kernel": "s4d",
    },
}  # fmt: skip
"""Settings that make a registered baseline small; one that isn't here is used as it is."""
TECHNIQUES = registry.names(registry.TECHNIQUES)
SLOW = {"compile"}


@dataclass(frozen=True)
class Case:
    """A baseline in small settings."""

    reference: str
    settings: dict[str, Any]

    def recipe(self, *texts: str) -> tuple[Recipe, dict[str, str]]:
        """Return the resolved recipe with techniques, and where its files lie."""
        used = request.make_techniques(texts)
        baseline = registry.load_baseline(self.reference)
        settings, _ = prepared(baseline, self.settings)
        places = request.places_of([self.reference])
        base = request.baseline_recipe(self.reference, settings, places)
        return request.with_techniques(base, baseline, used, probe_for, places), places

    def plain_job(self, *texts: str, seed: int = 0) -> Job:
        """Return a fresh job in the settings that techniques ask for, but without them."""
        recipe, places = self.recipe(*texts)
        return assembly.build(recipe.plain(), places, CPU, seed)

    def job(self, *texts: str, seed: int = 0) -> Job:
        """Return a fresh job with techniques."""
        recipe, places = self.recipe(*texts)
        return assembly.build(recipe, places, CPU, seed)


CONV_NET = Case(f"{JOBS}:ConvNet", {})
PICTURES = Case(f"{JOBS.with_name('pictures.py')}:Pictures", {})
"""Small and cheap, with something in it for every technique."""


def probe_for(technique: Technique) -> Callable[..., Measurement]:
    """Return a probe to which twice the first batch, and one of two threads, are the fastest."""
    first: list[int] = []

    def probe(settings: Any, memory_limit_bytes: int | None = None) -> Measurement:
        first.append(settings.batch_size)
        distance = abs(settings.batch_size - 2 * first[0])
        threads = getattr(settings, "threads", None) or 2
        record = measurement(technique.name, seconds=threads + distance)
        return record.model_copy(update={"threads": threads})

    return probe


def effect_of(name: str) -> Effect:
    """Return what a technique declares."""
    return Effect(registry.load_technique(name).effect)


def stepped(job: Job, steps: int = STEPS) -> tuple[list[float], dict[str, Tensor]]:
    """Make some steps; return their losses and the weights and buffers after them."""
    result = train(job, StepLimit(steps=steps, seconds=0, most_steps=steps))
    return result.losses, plain_state(job.snapshot(job.model))


def objective(job: Job) -> float:
    """Return what training lowers, of the job's first batch: whole, and in eval mode."""
    batch = next(iter(job.batches(Progress(job.epochs, epoch=job.epochs - 1))))
    job.model.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return float(job.loss(job.model, batch))


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a model's state."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def global_state() -> dict[str, Any]:
    """Return the switches of torch that a technique might turn."""
    return {
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "matmul": torch.get_float32_matmul_precision(),
        "tf32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "fastpath": torch.backends.mha.get_fastpath_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
    }
