"""The job as the training loop sees it."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from baselines.timehut import TimeHUT, TimeHUTSettings
from baselines.timehut.averaging import WeightAverage
from baselines.timehut.evaluation import classifier, metrics
from bench.errors import BenchError
from bench.job import Job, Progress

CPU = torch.device("cpu")


def quick(ucr: Path, **changes: Any) -> TimeHUTSettings:
    values = {"dataset": "Chinatown", "data_dir": ucr, "epochs": 2, "hidden": 8, "output": 12}
    return TimeHUTSettings(**{**values, "depth": 4, **changes})


def train(job: Job) -> list[float]:
    """Run the loop that `Job` documents; return the losses of all steps."""
    optimizer, progress = job.make_optimizer(job.model), Progress(job.epochs)
    losses = []
    for _ in range(job.epochs):
        job.schedule(optimizer, progress)
        for batch in job.batches(progress):
            losses.append(float(job.step(job, batch, optimizer, lambda phase: None)))
            progress.step += 1
        progress.epoch_losses.append(losses[-1])
        progress.epoch += 1
    return losses


def build(settings: TimeHUTSettings, seed: int = 0) -> Job:
    return TimeHUT().job(settings, CPU, seed)


def test_the_card_imports_neither_torch_nor_aeon_nor_sklearn() -> None:
    code = (
        "import sys, baselines.timehut as t; t.TimeHUTSettings();"
        "assert not {'torch', 'aeon', 'sklearn', 'numpy'} & set(sys.modules), 'heavy import'"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_two_jobs_of_one_seed_give_the_same_losses_bit_for_bit(ucr: Path) -> None:
    first, second, other = (train(build(quick(ucr), seed)) for seed in (3, 3, 4))
    assert first == second
    assert first != other
    assert len(first) == 4  # 20 series, batches of 8, the last 4 dropped, 2 epochs


def test_evaluation_and_validation_leave_the_training_untouched(ucr: Path) -> None:
    settings = quick(ucr, validation_fraction=0.2)
    undisturbed, disturbed = build(settings), build(settings)
    expected = train(undisturbed)
    validate = disturbed.validate
    assert validate is not None
    torch.manual_seed(0)
    disturbed = build(settings)
    state = torch.get_rng_state()
    disturbed.evaluate(disturbed.snapshot(disturbed.model))
    assert validate(disturbed.model) == validate(disturbed.model)
    assert torch.equal(state, torch.get_rng_state())
    assert disturbed.model.training
    assert train(disturbed) == expected


def test_evaluation_reports_accuracy_f1_and_auprc(ucr: Path) -> None:
    job = build(quick(ucr))
    result = job.evaluate(job.model)
    assert set(result) == {"accuracy", "f1", "auprc"}
    assert all(0.5 < value <= 1 for value in result.values())


def test_there_is_no_validation_without_a_held_out_part(ucr: Path) -> None:
    assert build(quick(ucr)).validate is None


def test_a_batch_larger_than_the_training_part_is_refused_with_both_numbers(ucr: Path) -> None:
    with pytest.raises(BenchError, match=r"batch_size=21 .*\(20 series\)"):
        build(quick(ucr, batch_size=21))


def test_a_sample_is_what_the_deployed_model_takes(ucr: Path) -> None:
    job = build(quick(ucr))
    (x,) = job.sample(400)
    assert x.shape == (400, 24, 1)
    assert job.snapshot(job.model).eval()(x[:5]).shape == (5, 24, 12)


def test_microbatches_of_two_can_be_trained_on(ucr: Path) -> None:
    job = build(quick(ucr))
    batch = next(iter(job.batches(Progress(1))))
    for part in job.split(batch, 4):
        job.backward(job.loss(job.model, part) / 4)
    gradients = [p.grad for p in job.model.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) for g in gradients)


def test_the_loss_uses_the_model_it_is_given(ucr: Path) -> None:
    job = build(quick(ucr))
    batch = next(iter(job.batches(Progress(1))))
    other = copy.deepcopy(job.model)
    job.backward(job.loss(other, batch))
    assert all(p.grad is None for p in job.model.parameters())
    assert all(p.grad is not None for p in other.parameters())


def test_the_snapshot_is_the_equal_average_with_the_initial_weights(ucr: Path) -> None:
    job = build(quick(ucr))
    expected = AveragedModel(job.model)
    expected.update_parameters(job.model)
    optimizer = job.make_optimizer(job.model)
    for _ in range(3):
        for batch in job.batches(Progress(1)):
            job.step(job, batch, optimizer, lambda phase: None)
            expected.update_parameters(job.model)
    averaged = job.snapshot(job.model)
    pairs = zip(averaged.parameters(), expected.module.parameters(), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert averaged is not job.model


def test_without_averaging_the_snapshot_is_the_trained_weights(ucr: Path) -> None:
    job = build(quick(ucr, weight_averaging=False))
    train(job)
    for ours, trained in zip(
        job.snapshot(job.model).parameters(), job.model.parameters(), strict=True
    ):
        assert torch.equal(ours, trained)


def test_an_average_before_any_step_is_the_model_itself() -> None:
    model = torch.nn.Linear(2, 2)
    averaged = WeightAverage().averaged(model)
    assert torch.equal(averaged.get_parameter("weight"), model.weight)


def test_the_temperature_follows_the_schedule(ucr: Path) -> None:
    job = build(quick(ucr, temperature_schedule="linear_decay"))
    optimizer = job.make_optimizer(job.model)
    batch = torch.randn(4, 24, 1)
    losses: list[Tensor] = []
    for epoch in (0, 25, 0):
        fresh = build(quick(ucr, temperature_schedule="linear_decay"))
        fresh.schedule(optimizer, Progress(50, epoch=epoch))
        losses.append(fresh.loss(fresh.model, batch).detach())
    assert losses[0] == losses[2]
    assert losses[0] != losses[1]


def test_temperatures_out_of_order_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"temperature_min \(0\.9\) must be below"):
        TimeHUTSettings(temperature_min=0.9, temperature_max=0.5)


def test_few_series_are_separated_and_many_are_cross_validated() -> None:
    assert type(classifier(np.zeros(49, dtype=np.int64))).__name__ == "SVC"
    many = classifier(np.arange(60) % 2)
    assert type(many).__name__ == "GridSearchCV"
    assert type(classifier(np.arange(60) % 30)).__name__ == "SVC"


def test_metrics_of_three_classes_with_one_absent_from_the_test() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(30) % 3
    points = (labels[:, None] * 5 + random.normal(size=(30, 2))).astype(np.float32)
    present = labels < 2
    result = metrics(points, labels, points[present], labels[present])
    assert result == pytest.approx({"accuracy": 1.0, "f1": 1.0, "auprc": 1.0})


def test_small_batches_are_advised_one_thread() -> None:
    baseline = TimeHUT()
    assert baseline.threads_for(TimeHUTSettings(batch_size=8)) == 1
    assert baseline.threads_for(TimeHUTSettings(batch_size=64)) is None
