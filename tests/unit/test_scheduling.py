"""A job's scheduler and the clipping of its gradients, whatever a technique puts in their way."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR

from bench.errors import BenchError, NotApplicable
from bench.job import Job, Progress, plain_step
from bench.model.hooks import calls_in_training
from bench.model.learning_rates import own_change
from bench.records.recipe import Recipe
from bench.trial.checkpoint import Checkpointer
from bench.trial.flops import count_flops
from bench.trial.training import StepLimit, train
from optimizers.adafactor import Adafactor
from optimizers.dynamic_lr import DynamicLR
from optimizers.fused_optimizer import FusedOptimizer
from optimizers.gradient_accumulation import GradientAccumulation
from optimizers.limit_steps import LimitSteps
from tests.jobs import linear_job


def falling(optimizer: Optimizer, progress: Progress) -> LRScheduler:
    return LambdaLR(optimizer, lambda step: 1 - step / progress.total_steps)


def scheduled(**parts: Any) -> Job:
    """Return a job of 3 epochs of 4 updates, whose rate falls from 0.05 to 0."""
    return linear_job(**{"make_scheduler": falling, "epoch_steps": 4, **parts})


def rates_of(job: Job) -> list[float]:
    """Train; return the rate of every update."""
    found = []

    def noted(old: Any) -> Any:
        def update(optimizer: Optimizer) -> None:
            found.append(optimizer.param_groups[0]["lr"])
            old(optimizer)

        return update

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(job.wrap("update", noted, by="test"))
    return found


FALLING = [0.05 * (1 - step / 12) for step in range(12)]


@pytest.mark.parametrize(
    "technique",
    [lambda job: job, FusedOptimizer().apply, GradientAccumulation().apply],
    ids=["none", "fused-optimizer", "gradient-accumulation"],
)
def test_a_scheduler_goes_on_with_every_update_of_the_optimizer_that_trains(
    technique: Callable[[Job], Job],
) -> None:
    assert rates_of(technique(scheduled())) == pytest.approx(FALLING)


def test_another_optimizer_gets_the_same_schedule() -> None:
    found = rates_of(Adafactor().apply(scheduled()))
    assert [rate / found[0] for rate in found] == pytest.approx([r / 0.05 for r in FALLING])


def test_a_scheduler_may_go_on_by_the_epoch() -> None:
    job = scheduled(make_scheduler=lambda o, p: StepLR(o, 1, 0.1), scheduler_steps="epoch")
    assert rates_of(job) == pytest.approx([0.05] * 4 + [0.005] * 4 + [0.0005] * 4)


def test_a_step_trial_goes_on_over_epochs_as_a_training_does() -> None:
    made: list[LRScheduler] = []

    def kept(optimizer: Optimizer, progress: Progress) -> LRScheduler:
        made.append(StepLR(optimizer, 1, 0.1))
        return made[0]

    train(scheduled(make_scheduler=kept, scheduler_steps="epoch"), StepLimit(9, 0, 9))
    assert made[0].get_last_lr() == pytest.approx([0.0005])


def test_a_plateau_is_one_of_the_training_loss() -> None:
    def on_plateau(optimizer: Optimizer, progress: Progress) -> LRScheduler:
        return ReduceLROnPlateau(optimizer, patience=0, threshold=1e9, threshold_mode="abs")

    found = rates_of(scheduled(make_scheduler=on_plateau, scheduler_steps="epoch"))
    assert found == pytest.approx([0.05] * 8 + [0.005] * 4)


def test_epochs_that_are_cut_short_shorten_the_schedule() -> None:
    found = rates_of(LimitSteps(steps=2).apply(scheduled()))
    assert found == pytest.approx([0.05 * (1 - step / 6) for step in range(6)])


def test_total_steps_need_the_steps_of_an_epoch() -> None:
    with pytest.raises(BenchError, match=r"doesn't say how many updates .* give it epoch_steps"):
        train(scheduled(epoch_steps=None))


def test_an_epoch_of_another_length_than_the_schedule_was_told_is_refused() -> None:
    with pytest.raises(BenchError, match="an epoch had 4 updates, and the job says epoch_steps=5"):
        train(scheduled(epoch_steps=5))


def test_a_second_schedule_beside_a_scheduler_is_refused() -> None:
    with pytest.raises(NotApplicable, match="sets its learning rate itself"):
        DynamicLR().apply(scheduled())


def test_a_training_that_is_taken_up_again_goes_on_with_its_schedule(tmp_path: Path) -> None:
    def keeper(resume: bool) -> Checkpointer:
        recipe = Recipe(baseline="x", settings={})
        return Checkpointer(tmp_path / "unfinished.pt", recipe, 0, resume)

    whole = train(scheduled()).losses

    def killed(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(scheduled(), on_epoch=killed, keeper=keeper(False))
    assert train(scheduled(), keeper=keeper(True)).losses == whole


def norms_of(job: Job) -> list[float]:
    """Return the norm of the gradients that each update is made with."""
    found: list[float] = []

    def step(job: Job, batch: Any, optimizer: Optimizer, mark: Any) -> torch.Tensor:
        def look(*_: Any) -> None:
            grads = [p.grad for p in job.model.parameters() if p.grad is not None]
            found.append(math.sqrt(sum(float(g.square().sum()) for g in grads)))

        handle = optimizer.register_step_post_hook(look)
        try:
            return plain_step(job, batch, optimizer, mark)
        finally:
            handle.remove()

    train(job.wrap("step", lambda old: step, by="test"))
    return found


@pytest.mark.parametrize("technique", [lambda job: job, FusedOptimizer().apply])
def test_gradients_are_clipped_before_an_optimizer_steps(technique: Callable[[Job], Job]) -> None:
    assert max(norms_of(technique(linear_job()))) > 0.1
    assert max(norms_of(technique(linear_job(clip=0.1)))) == pytest.approx(0.1, rel=1e-3)


def test_accumulated_gradients_are_clipped_once_and_whole() -> None:
    plain = train(linear_job(clip=0.1)).losses
    parts = train(GradientAccumulation(microbatches=4).apply(linear_job(clip=0.1))).losses
    assert parts == pytest.approx(plain, rel=1e-4)
    assert plain != pytest.approx(train(linear_job()).losses, rel=1e-4)


def test_whoever_looks_at_a_schedule_or_at_batches_knows_how_long_the_training_is() -> None:
    plain, asked = linear_job(), list[int]()

    def schedule(optimizer: Optimizer, progress: Progress) -> None:
        asked.append(progress.total_steps)

    def batches(progress: Progress) -> Any:
        asked.append(progress.total_steps)
        return plain.batches(progress)

    job = linear_job(epoch_steps=4, schedule=schedule, batches=batches)
    assert own_change(job) is None
    assert count_flops(job).per_step
    assert len(calls_in_training(job, job.model, 2)) == 2
    assert LimitSteps(steps=2).apply(job).epoch_steps == 2
    assert set(asked) == {12}


def test_a_schedule_is_looked_at_after_as_many_updates_as_it_will_have_seen() -> None:
    def schedule(optimizer: Optimizer, progress: Progress) -> None:
        if progress.step >= progress.total_steps / 2:
            optimizer.param_groups[0]["lr"] = 0.5

    assert own_change(linear_job(epoch_steps=4, schedule=schedule)) == 2
    assert own_change(linear_job(epoch_steps=4)) is None
