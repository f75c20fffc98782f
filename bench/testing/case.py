"""Build a baseline's jobs in small settings, and observe losses, weights, global switches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from bench.analysis.quality import LEAST_STEPS
from bench.batches import Outputs
from bench.job import Job
from bench.model.calls import ask
from bench.model.float32 import Float32
from bench.model.weights_file import copied_state
from bench.recipes import assembly, registry, resolve
from bench.recipes.references import parse_technique, places_of, whole_path
from bench.recipes.resolve import prepared
from bench.records.measurement import Measurement, Status
from bench.records.recipe import Recipe
from bench.records.schema import Json
from bench.technique import Effect, Probe, Technique
from bench.trial.training import StepLimit, train

STEPS = LEAST_STEPS
"""As many as a run asks for, to believe that two trainings are the same."""
CPU = torch.device("cpu")


def made_up_probe(technique: Technique) -> Probe:
    """Return a probe that runs nothing.

    The fastest are twice the first batch, one thread, and batches that are read ahead.
    """
    first: list[int] = []

    def probe(settings: BaseModel, memory_limit_bytes: int | None = None) -> Measurement:
        size = int(getattr(settings, "batch_size", 1))
        first.append(size)
        threads = getattr(settings, "threads", None) or 2
        waits = getattr(settings, "loader", None) is None
        seconds = float(threads + waits + abs(size - 2 * first[0]))
        return Measurement(
            arm=technique.name, pair=len(first), seed=0, kind="step", device="cpu", threads=threads,
            status=Status.OK, recipe={"baseline": "made-up"}, started="2026-01-01T00:00:00+00:00",
            step_seconds=(seconds / 10,) * 10, window_seconds=seconds, train_seconds=seconds,
            items=80,
        )  # fmt: skip

    return probe


@dataclass(frozen=True)
class Steps:
    """A job after some steps, their losses, and the weights and buffers after them."""

    job: Job
    losses: list[float]
    state: dict[str, Tensor]


@dataclass(frozen=True)
class Whole:
    """The losses of a training to the end, and what the deployed model answers."""

    losses: list[float]
    answers: Outputs


@dataclass(frozen=True)
class Case:
    """A baseline, by name or ``file.py:Class``, in settings small enough to train in a moment."""

    baseline: str
    settings: Json = field(default_factory=dict)
    device: torch.device = CPU
    probe_for: Callable[[Technique], Probe] = made_up_probe
    """Gives the probe that a technique which searches may call."""

    def recipe(self, *techniques: str) -> tuple[Recipe, dict[str, str]]:
        """Return the resolved recipe with techniques, and where its files lie."""
        used = resolve.make_techniques([whole_path(text) for text in techniques])
        baseline = registry.load_baseline(self.baseline)
        settings, _ = prepared(baseline, dict(self.settings))
        places = places_of([self.baseline, *(reference for reference, _ in used)])
        base = resolve.baseline_recipe(self.baseline, settings, places)
        return resolve.with_techniques(base, baseline, used, self.probe_for, places), places

    def plain_job(self, *techniques: str, seed: int = 0) -> Job:
        """Return a fresh job in the settings that techniques ask for, but without them."""
        recipe, places = self.recipe(*techniques)
        return assembly.build(recipe.plain(), places, self.device, seed)

    def job(self, *techniques: str, seed: int = 0) -> Job:
        """Return a fresh job with techniques."""
        recipe, places = self.recipe(*techniques)
        return assembly.build(recipe, places, self.device, seed)

    def steps(self, *techniques: str) -> Steps:
        """Make `STEPS` steps with techniques: the training that promises are held to."""
        job = self.job(*techniques)
        return Steps(job, *stepped(job))

    def steps_again(self, *techniques: str) -> Steps:
        """Make them once more, of the recipe as it is written and read again."""
        recipe, places = self.recipe(*techniques)
        read = Recipe.model_validate_json(recipe.model_dump_json())
        job = assembly.build(read, places, self.device, 0)
        return Steps(job, *stepped(job))

    def plain_steps(self, *techniques: str) -> Steps:
        """Make as many in the settings that techniques ask for, but without them."""
        job = self.plain_job(*techniques)
        return Steps(job, *stepped(job))

    def plain_whole(self) -> Whole:
        """Train the baseline to the end."""
        job = self.job()
        trained = train(job)
        return Whole(trained.losses, answers(trained.model, job))


@dataclass(frozen=True)
class CachedCase(Case):
    """A case that trains each thing once: for many promises and techniques on one baseline."""

    of_technique: dict[tuple[str, ...], Steps] = field(default_factory=dict, compare=False)
    """Of the latest techniques alone: jobs are large."""
    of_again: dict[tuple[str, ...], Steps] = field(default_factory=dict, compare=False)
    """Of the latest techniques alone, too."""
    of_settings: dict[str, Steps] = field(default_factory=dict, compare=False)
    """By the id of a recipe without techniques."""
    of_baseline: list[Whole] = field(default_factory=list, compare=False)

    def steps(self, *techniques: str) -> Steps:
        """Make steps with techniques, or return those made."""
        if techniques not in self.of_technique:
            self.of_technique.clear()
            self.of_technique[techniques] = super().steps(*techniques)
        return self.of_technique[techniques]

    def steps_again(self, *techniques: str) -> Steps:
        """Make steps with techniques once more, or return those made."""
        if techniques not in self.of_again:
            self.of_again.clear()
            self.of_again[techniques] = super().steps_again(*techniques)
        return self.of_again[techniques]

    def plain_steps(self, *techniques: str) -> Steps:
        """Make steps in the settings that techniques ask for, or return those made."""
        plain = self.recipe(*techniques)[0].plain().id
        if plain not in self.of_settings:
            self.of_settings[plain] = super().plain_steps(*techniques)
        return self.of_settings[plain]

    def plain_whole(self) -> Whole:
        """Train the baseline to the end, or return what that gave."""
        if not self.of_baseline:
            self.of_baseline.append(super().plain_whole())
        return self.of_baseline[0]


def effect_of(technique: str) -> Effect:
    """Return what a technique declares."""
    return Effect(registry.load_technique(parse_technique(technique)[0]).effect)


def stepped(job: Job, steps: int = STEPS) -> tuple[list[float], dict[str, Tensor]]:
    """Make some steps; return their losses and the weights and buffers after them.

    What is compiled draws the random numbers of the plain model, to be comparable with it.
    """
    with _same_draws():
        result = train(job, StepLimit(steps=steps, seconds=0, most_steps=steps))
    return result.losses, plain_state(job.snapshot(job.model))


@contextlib.contextmanager
def _same_draws() -> Iterator[None]:
    """Make compiled code draw random numbers as the plain model does; forget it afterwards."""
    from torch._inductor import config

    torch.compiler.reset()
    with config.patch(fallback_random=True):
        yield
    torch.compiler.reset()


def answers(model: nn.Module, job: Job) -> Outputs:
    """Return what a model answers to two items of a job."""
    with torch.no_grad():
        return ask(model.eval(), job.sample(2))


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a model's weights and buffers."""
    return {n: v for n, v in copied_state(model).items() if isinstance(v, Tensor)}


def global_state() -> dict[str, object]:
    """Return the switches of torch that a technique might turn."""
    return {
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "float32": Float32.now(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "fastpath": torch.backends.mha.get_fastpath_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "quantized": torch.backends.quantized.engine,
    }
