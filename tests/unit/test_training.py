"""The one training loop, on a tiny job."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.batches import Batch
from bench.errors import BenchError, Diverged
from bench.job import Job, Mark, Progress, plain_step, plain_update
from bench.trial.training import StepLimit, Trained, train
from tests.jobs import cross_entropy, linear_job

STEPS_PER_EPOCH = 4


def recorded(calls: list[str], **parts: Any) -> Job:
    """Return a job that notes its calls."""
    plain = linear_job()

    def schedule(optimizer: Optimizer, progress: Progress) -> None:
        calls.append(f"schedule {progress.epoch}")

    def step(job: Job, batch: Batch, optimizer: Optimizer, mark: Mark) -> Tensor:
        calls.append("step")
        return plain_step(job, batch, optimizer, mark)

    def stop(job: Job, progress: Progress) -> bool:
        calls.append(f"stop {progress.epoch}")
        return False

    def snapshot(model: nn.Module) -> nn.Module:
        calls.append("snapshot")
        return model

    def finish(job: Job, model: nn.Module) -> nn.Module:
        calls.append("finish")
        return model

    def evaluate(model: nn.Module) -> Mapping[str, float]:
        calls.append("evaluate")
        return plain.evaluate(model)

    made: dict[str, Any] = {
        "schedule": schedule, "step": step, "stop": stop, "snapshot": snapshot, "finish": finish,
        "evaluate": evaluate, "epochs": 2,
    }  # fmt: skip
    return linear_job(**{**made, **parts})


def test_the_parts_are_called_in_order() -> None:
    calls: list[str] = []
    train(recorded(calls))
    epoch = ["step"] * STEPS_PER_EPOCH
    assert calls == [
        "schedule 0", *epoch, "stop 1", "schedule 1", *epoch, "stop 2",
        "snapshot", "finish", "evaluate",
    ]  # fmt: skip


def test_evaluation_between_epochs_is_of_the_snapshot() -> None:
    calls: list[str] = []
    result = train(recorded(calls, evaluate_every=1))
    assert calls.count("snapshot") == 3
    assert [e.epoch for e in result.evaluations] == [1, 2]


def test_the_last_evaluation_is_of_what_is_deployed() -> None:
    class Two(nn.Linear):
        """Judges every point to be of class 0."""

        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([[1.0, 0.0]]).expand(len(x), 2)

    two = Two(6, 2)
    result = train(linear_job(finish=lambda job, model: two, evaluate_every=1))
    assert result.model is two
    assert (
        result.evaluations[-1].values["accuracy"] < 0.7 < result.evaluations[-2].values["accuracy"]
    )


def test_finish_gets_the_snapshot() -> None:
    average = nn.Linear(6, 2)
    given: list[nn.Module] = []

    def finish(job: Job, model: nn.Module) -> nn.Module:
        given.append(model)
        return model

    train(linear_job(snapshot=lambda model: average, finish=finish))
    assert given == [average]


def test_every_step_has_its_loss_and_every_epoch_its_mean() -> None:
    result = train(linear_job())
    assert len(result.losses) == len(result.timeline.steps) == 3 * STEPS_PER_EPOCH
    first = result.losses[:STEPS_PER_EPOCH]
    assert result.progress.epoch_losses[0] == pytest.approx(sum(first) / STEPS_PER_EPOCH)
    assert result.losses[-1] < result.losses[0]


def test_training_is_the_same_from_the_same_seed() -> None:
    assert train(linear_job(3)).losses == train(linear_job(3)).losses
    assert train(linear_job(3)).losses != train(linear_job(4)).losses


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_diverges_with_its_step(value: float) -> None:
    job = linear_job()
    steps = 0

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        nonlocal steps
        steps += 1
        return job.loss(model, batch) * (value if steps == 6 else 1)

    with pytest.raises(Diverged, match=rf"the loss was {value} at step 6 \(epoch 2\)"):
        train(linear_job(loss=loss))


def drawing(every: int) -> Job:
    """Return a job whose training and evaluation both draw from torch's generator."""
    plain = linear_job()

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return plain.loss(model, (batch[0] + torch.rand(()), batch[1]))

    def evaluate(model: nn.Module) -> Mapping[str, float]:
        torch.rand(5)
        return plain.evaluate(model)

    return linear_job(loss=loss, evaluate=evaluate, evaluate_every=every)


def test_evaluation_does_not_change_the_random_state_of_training() -> None:
    assert train(drawing(every=1)).losses == train(drawing(every=0)).losses


def test_evaluation_leaves_the_model_in_training() -> None:
    modes: list[bool] = []
    plain = linear_job()

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        modes.append(model.training)
        return plain.loss(model, batch)

    train(linear_job(loss=loss, evaluate_every=1))
    assert all(modes)


def test_a_metric_that_is_no_number_is_left_out() -> None:
    result = train(linear_job(evaluate=lambda model: {"accuracy": 0.5, "auprc": math.nan}))
    assert result.evaluations[-1].values == {"accuracy": 0.5}


def test_stop_ends_training_after_the_epoch() -> None:
    result = train(linear_job(stop=lambda job, progress: progress.epoch == 2))
    assert result.progress.epoch == 2
    assert len(result.losses) == 2 * STEPS_PER_EPOCH
    assert result.evaluations[-1].epoch == 2


def test_time_in_stop_counts_as_training() -> None:
    assert "stop" in train(linear_job()).timeline.phase_seconds(0)


def limited(limit: StepLimit, **parts: Any) -> Trained:
    return train(linear_job(**parts), limit)


def test_a_limit_ends_after_its_steps() -> None:
    assert len(limited(StepLimit(steps=6, seconds=0)).losses) == 6


def test_a_limited_training_ends_with_its_epochs() -> None:
    assert len(limited(StepLimit(steps=30, seconds=0)).losses) == 12


def test_a_limit_ends_at_the_most_steps_however_little_time_went_by() -> None:
    assert len(limited(StepLimit(steps=2, seconds=1000, most_steps=9)).losses) == 9


def test_a_limit_goes_on_for_its_seconds() -> None:
    result = limited(StepLimit(steps=2, seconds=0.2, most_steps=1_000_000), epochs=100_000)
    assert result.timeline.seconds > 0.15


def test_with_a_limit_nothing_is_evaluated_stopped_or_finished() -> None:
    calls: list[str] = []
    train(recorded(calls, evaluate_every=1), StepLimit(steps=9, seconds=0))
    assert {call.split()[0] for call in calls} == {"schedule", "step"}


def test_an_epoch_without_a_batch_is_refused() -> None:
    used_up = iter([*linear_job().batches(Progress(1))])
    with pytest.raises(BenchError, match=r"batches gave none in epoch 2: .* no iterator that is"):
        train(linear_job(batches=lambda progress: used_up))
    with pytest.raises(
        BenchError, match=r"none in epoch 1: .* more than there are .*\(drop_last\)"
    ):
        train(linear_job(batches=lambda progress: ()))


def test_gradients_are_cleared_after_every_update() -> None:
    job = linear_job()
    train(job)
    assert all(parameter.grad is None for parameter in job.model.parameters())


def test_the_end_of_training_is_told_once_it_is_finished_before_it_is_evaluated() -> None:
    """What finishing it takes, the members of an ensemble say, is part of what it takes."""
    calls: list[str] = []
    train(recorded(calls), on_trained=lambda: calls.append("trained"))
    assert calls[-4:] == ["snapshot", "finish", "trained", "evaluate"]
    calls.clear()
    train(recorded(calls), StepLimit(9, 0), on_trained=lambda: calls.append("trained"))
    assert calls[-2:] == ["step", "trained"]


def test_the_first_step_is_told_and_the_time_that_it_takes_to_hear_it_is_not_counted() -> None:
    calls: list[str] = []

    def heard() -> None:
        calls.append("heard")
        time.sleep(0.5)

    result = train(recorded(calls), on_first_step=heard)
    assert calls[:4] == ["schedule 0", "step", "heard", "step"]
    assert calls.count("heard") == 1
    assert result.timeline.seconds < 0.5
    assert len(result.timeline.steps) == 2 * STEPS_PER_EPOCH


def test_every_epoch_is_told() -> None:
    told: list[int] = []
    train(linear_job(), on_epoch=lambda progress: told.append(progress.epoch))
    assert told == [1, 2, 3]


def test_an_update_that_is_replaced_is_the_one_that_runs() -> None:
    updates: list[Optimizer] = []

    def update(optimizer: Optimizer) -> None:
        updates.append(optimizer)
        plain_update(optimizer)

    train(linear_job().wrap("update", lambda old: update, by="test"))
    assert len(updates) == 3 * STEPS_PER_EPOCH


def test_evaluation_keeps_numpy_s_and_python_s_random_state() -> None:
    def evaluate(model: nn.Module) -> dict[str, float]:
        return {"accuracy": float(np.random.rand()) + random.random()}

    np.random.seed(0)
    random.seed(0)
    train(linear_job(evaluate=evaluate, evaluate_every=1))
    assert (np.random.rand(), random.random()) == (0.5488135039273248, 0.8444218515250481)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_loss_of_one_number_may_have_any_shape(shape: tuple[int, ...]) -> None:
    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return cross_entropy(model, batch).reshape(shape)

    assert train(linear_job(loss=loss)).losses == train(linear_job()).losses
