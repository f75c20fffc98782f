"""A profile says what a training of the baseline is made of, and changes nothing of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.job import Job, Mark, plain_step
from bench.machine.memory import resident
from bench.records.profile import Profile
from bench.trial import profile
from bench.trial.profile import Profiler
from bench.trial.rehearsal import BATCHES, rehearse
from bench.trial.training import StepLimit, train
from tests.jobs import job_of

FLOAT = 4


@pytest.fixture(autouse=True)
def no_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no ceiling: it takes a while."""
    monkeypatch.setattr(profile, "product_rate", lambda device, dtype: 1e9)


def job(optimizer: str = "Adam", **parts: Any) -> Job:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    x, y = torch.randn(32, 6), torch.arange(32) % 3

    def make(model: nn.Module) -> torch.optim.Optimizer:
        made: torch.optim.Optimizer = getattr(torch.optim, optimizer)(model.parameters(), lr=0.01)
        return made

    return job_of(model, x, y, make_optimizer=make, **parts)


def profiled(made: Job) -> tuple[Profile, list[float]]:
    profiler = Profiler(made, resident().now)
    result = train(profiler.watched(), StepLimit(steps=4, seconds=0.0))
    return profiler.read(result.timeline), result.losses


def test_tensors_are_counted_by_kind() -> None:
    found, _ = profiled(job())
    weights = 6 * 8 + 8 + 2 * 8 + 8 * 3 + 3
    assert found.parameter_bytes == FLOAT * (weights + 2 * 8) + 8  # and what the norm counts
    assert found.gradient_bytes == FLOAT * weights
    assert found.optimizer_state_bytes == FLOAT * (2 * weights + 6)  # two moments, six counters
    assert profiled(job("SGD"))[0].optimizer_state_bytes == 0


def test_memory_is_looked_at_when_built_and_before_the_first_update() -> None:
    found, _ = profiled(job())
    assert found.built_bytes is not None
    assert found.built_peak_bytes is not None
    assert found.backward_peak_bytes is not None
    assert found.built_bytes <= found.built_peak_bytes <= found.backward_peak_bytes


def test_phases_hold_the_warm_up_too() -> None:
    found, _ = profiled(job())
    assert {"data_wait", "forward", "backward", "update"} <= found.phase_seconds.keys()
    assert all(seconds >= 0 for seconds in found.phase_seconds.values())


def test_a_profiled_training_is_the_same() -> None:
    assert profiled(job())[1] == train(job(), StepLimit(steps=4, seconds=0.0)).losses


def test_steps_and_ends_of_a_baseline_s_own_are_told() -> None:
    def step(job: Job, batch: Any, optimizer: Optimizer, mark: Mark) -> Tensor:
        return plain_step(job, batch, optimizer, mark)

    found, _ = profiled(job(stop=lambda job, progress: False))
    assert (found.own_step, found.stops) == (False, True)
    assert profiled(replace(job(), step=step))[0].own_step


def test_a_rehearsal_times_its_steps() -> None:
    found = rehearse(job())
    assert len(found.seconds) == len(found.losses) == BATCHES
    assert all(seconds > 0 for seconds in found.seconds)


def test_sparse_gradients_count_what_they_hold() -> None:
    model = nn.Sequential(nn.Embedding(1000, 4, sparse=True), nn.Flatten(), nn.Linear(8, 3))
    x, y = torch.arange(64).view(32, 2), torch.arange(32) % 3
    made = job_of(model, x, y, make_optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1))
    found, _ = profiled(made)
    rows = 8 * 2  # of a batch, each with its place
    assert found.gradient_bytes == FLOAT * (rows * 4 + 8 * 3 + 3) + 8 * rows


def test_tensors_that_share_memory_count_once() -> None:
    whole = torch.zeros(4, 6)
    assert profile._bytes([whole, whole, whole.T, whole[:2], torch.zeros(2)]) == FLOAT * (24 + 2)
    rows, columns = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2])
    sparse = torch.sparse_csr_tensor(rows, columns, torch.ones(3), (3, 3))
    assert profile._bytes([sparse]) == 8 * 4 + 8 * 3 + FLOAT * 3
