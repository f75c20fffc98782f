"""curriculum-learning and selective-backprop: which items are learned from, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.errors import NotApplicable
from bench.job import Job, Progress
from bench.model.parts_of_loss import check_item_losses
from bench.technique import Technique
from bench.trial.flops import count_flops
from bench.trial.rehearsal import rehearse
from bench.trial.training import train
from optimizers.curriculum_learning import CurriculumLearning, Pace
from optimizers.gradient_accumulation import GradientAccumulation
from optimizers.selective_backprop import SelectiveBackprop, scores
from tests.contract.cases import CPU
from tests.jobs import cross_entropy, item_losses, linear_job
from tests.pictures import Pictures, PictureSettings


def pictures() -> Job:
    torch.manual_seed(0)
    return Pictures().job(PictureSettings(), CPU, seed=0)


def begin(job: Job, number: int) -> Optimizer:
    """Begin an epoch."""
    optimizer = job.make_optimizer(job.model)
    job.schedule(optimizer, Progress(job.epochs, epoch=number))
    return optimizer


def test_easy_is_what_lies_among_the_lower_recent_losses() -> None:
    pace = Pace(share=0.5, window=8)
    assert pace.easy(torch.tensor([4.0, 1.0, 3.0, 2.0])).tolist() == [False, True, False, True]
    assert pace.easy(torch.tensor([2.4, 9.0, 9.0, 9.0])).tolist() == [True, False, False, False]


def test_only_the_latest_losses_are_remembered() -> None:
    pace = Pace(share=0.5, window=4)
    pace.easy(torch.full((4,), 100.0))
    assert pace.easy(torch.tensor([4.0, 3.0, 2.0, 1.0])).tolist() == [False, False, True, True]


def rigged(values: list[float], **rule: Any) -> Job:
    """Return a job of one batch whose items have these losses, times a weight of 1."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    losses = torch.tensor(values)

    def item_losses(model: nn.Module, batch: Any) -> Tensor:
        found: Tensor = model(losses[:, None]).squeeze(1)
        return found

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return item_losses(model, batch).mean()

    job = linear_job(item_losses=item_losses, epochs=10, loss=loss)
    return CurriculumLearning(**rule).apply(replace(job, model=model))


@pytest.mark.parametrize(
    ("number", "loss"), [(0, 1.5), (2, 2.0), (4, 2.0), (5, 2.5), (9, 2.5)], ids=str
)
def test_harder_items_enter_with_the_epochs(number: int, loss: float) -> None:
    job = rigged([4.0, 1.0, 3.0, 2.0], start=0.5, until=0.5)
    begin(job, number)
    assert job.loss(job.model, None).item() == pytest.approx(loss)


def test_hard_items_give_no_gradient() -> None:
    job = rigged([4.0, 1.0, 3.0, 2.0], start=0.5)
    begin(job, 0)
    job.backward(job.loss(job.model, None))
    (weight,) = job.model.parameters()
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx((1 + 2) / 2)


def test_one_epoch_has_no_time_for_harder_items() -> None:
    with pytest.raises(NotApplicable, match="one epoch is too few"):
        CurriculumLearning().apply(replace(pictures(), epochs=1))


def test_once_all_count_the_loss_is_the_baseline_s() -> None:
    job = CurriculumLearning(until=0.1).apply(pictures())
    begin(job, 1)
    batch = next(iter(job.batches(Progress(4))))
    plain = pictures()
    assert torch.equal(job.loss(job.model, batch), plain.loss(plain.model, batch))


def test_curricula_stack_with_accumulation() -> None:
    job = GradientAccumulation(microbatches=2).apply(CurriculumLearning().apply(pictures()))
    assert train(job).progress.step == 16


class Counted:
    """Counts the items that pass the model, with gradients and without."""

    def __init__(self, model: nn.Module) -> None:
        self.forward = self.scored = self.backward = 0
        model.register_forward_hook(self._seen)

    def _seen(self, module: nn.Module, args: Any, found: Tensor) -> None:
        if not found.requires_grad:
            self.scored += len(found)
            return
        self.forward += len(found)
        found.register_hook(self._back)  # type: ignore[no-untyped-call]  # torch's

    def _back(self, grad: Tensor) -> None:
        self.backward += len(grad)


def test_the_backward_pass_of_the_rest_is_skipped_and_items_are_those_trained_on() -> None:
    job = SelectiveBackprop(keep=0.25, after=0.5).apply(pictures())
    counted = Counted(job.model)
    result = train(job)
    whole, chosen = 2 * 32, 2 * 32 // 4
    assert (counted.forward, counted.backward) == (whole + chosen, whole + chosen)
    compared = 6 * 8  # a batch's loss four times, its items' once, its halves' once
    assert counted.scored == 2 * 32 + 32 + compared  # two epochs of scores, one evaluation
    assert sum(step.items for step in result.timeline.steps) == whole + chosen
    assert result.progress.step == 16


def test_hard_items_are_preferred() -> None:
    job = SelectiveBackprop(keep=0.25, power=8.0, after=0.0).apply(pictures())
    batch = next(iter(job.batches(Progress(4))))
    losses, trained = scores(job, batch), list[Tensor]()
    real = job.loss

    def loss(model: nn.Module, part: Any) -> Tensor:
        if torch.is_grad_enabled():
            trained.append(part[0])
        return real(model, part)

    watched = replace(job, loss=loss)
    frozen = begin(job, 0)
    for group in frozen.param_groups:
        group["lr"] = 0.0
    for _ in range(50):
        watched.step(watched, batch, frozen, lambda phase: None)
    rank = losses.argsort().argsort()
    chosen = [(batch[0] == x).flatten(1).all(1).nonzero() for part in trained for x in part]
    ranks = [int(rank[int(index)]) for index in chosen]
    assert len(ranks) == 100
    assert sum(ranks) / len(ranks) > 5.5  # of 0 to 7, at random 3.5


def test_scoring_leaves_batch_norm_alone_and_the_model_training() -> None:
    job = SelectiveBackprop().apply(pictures())
    before = [buffer.clone() for buffer in job.model.buffers()]
    scores(job, next(iter(job.batches(Progress(4)))))
    assert all(torch.equal(a, b) for a, b in zip(before, job.model.buffers(), strict=True))
    assert job.model.training


def test_the_loss_of_a_step_is_that_of_the_whole_batch() -> None:
    job = SelectiveBackprop(after=0.0).apply(pictures())
    optimizer = begin(job, 0)
    batch = next(iter(job.batches(Progress(4))))
    wanted = scores(job, batch).mean()
    assert torch.equal(job.step(job, batch, optimizer, lambda phase: None), wanted)


def test_flops_hold_the_scoring_and_the_chosen_items() -> None:
    whole = count_flops(pictures()).per_step
    half = count_flops(SelectiveBackprop(keep=0.5, after=0.0).apply(pictures())).per_step
    assert 0.78 * whole < half < 0.90 * whole  # 5/6, but for the first layer's input gradient


@pytest.mark.parametrize("technique", [CurriculumLearning(), SelectiveBackprop()])
def test_without_losses_of_items_nothing_is_chosen(technique: Technique) -> None:
    with pytest.raises(NotApplicable, match="its job has no item_losses"):
        technique.apply(linear_job())


def weighted(model: nn.Module, batch: Any) -> Tensor:
    """Return the loss of classes of unlike weights, divided by the sum of these."""
    weights = torch.tensor([0.2, 5.0])
    return nn.functional.cross_entropy(model(batch[0]), batch[1], weight=weights)


def zero_head() -> nn.Module:
    """Return a model whose answers are all the same at first, and so are the losses of all."""
    model = nn.Linear(6, 2)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


@pytest.mark.parametrize("technique", [CurriculumLearning(), SelectiveBackprop()])
@pytest.mark.parametrize("make", [lambda: nn.Linear(6, 2), zero_head], ids=["drawn", "zeros"])
def test_losses_of_items_that_are_not_the_baseline_s_choose_nothing(
    technique: Technique, make: Callable[[], nn.Module]
) -> None:
    def job(**parts: Any) -> Job:
        return technique.apply(linear_job(model=make(), item_losses=item_losses, **parts))

    rehearse(job())
    with pytest.raises(NotApplicable, match="is not the mean of its item_losses"):
        rehearse(job(loss=weighted))


def test_weights_of_zeros_are_zeros_again_once_losses_were_compared() -> None:
    job = linear_job(model=zero_head(), item_losses=item_losses)
    check_item_losses(job, next(iter(job.batches(Progress(1)))))
    assert not any(weight.any() for weight in job.model.parameters())


def test_nothing_is_chosen_by_a_loss_over_pairs_of_items() -> None:
    def of_pairs(model: nn.Module, batch: Any) -> Tensor:
        found = nn.functional.normalize(model(batch[0]), dim=1)
        near = found @ found.T / 0.1
        return nn.functional.cross_entropy(near, torch.arange(len(near)), reduction="none")

    job = linear_job(loss=lambda m, batch: of_pairs(m, batch).mean(), item_losses=of_pairs)
    with pytest.raises(NotApplicable, match="of fewer items it is another one"):
        rehearse(SelectiveBackprop().apply(job))


def test_a_loss_for_each_word_is_none_for_each_item() -> None:
    job = linear_job(item_losses=lambda model, batch: model(batch[0]) ** 2)
    with pytest.raises(NotApplicable, match=r"item_losses gave the shape \(8, 2\), not one loss"):
        rehearse(SelectiveBackprop().apply(job))


def test_items_are_counted_of_those_that_were_chosen() -> None:
    job = linear_job(item_losses=item_losses, items=lambda batch: 8 + int(batch[1].sum()))
    job = SelectiveBackprop(keep=0.5, after=0.0).apply(replace(job, loss=cross_entropy))
    optimizer, seen = begin(job, 0), list[int]()
    real = job.loss

    def loss(model: nn.Module, part: Any) -> Tensor:
        seen.append(8 + int(part[1].sum()))
        return real(model, part)

    batch = next(iter(job.batches(Progress(3))))
    job.step(replace(job, loss=loss), batch, optimizer, lambda phase: None)
    assert job.items(batch) == seen[-1]


@pytest.mark.parametrize("technique", [CurriculumLearning(), GradientAccumulation()])
def test_flops_of_a_step_hold_no_loss_that_was_only_compared(technique: Technique) -> None:
    counts = [
        count_flops(change(linear_job(item_losses=item_losses))).per_step
        for change in (lambda job: job, technique.apply)
    ]
    assert counts[0] == counts[1]


def test_a_choice_that_no_epoch_would_make_is_refused() -> None:
    with pytest.raises(NotApplicable, match=r"after=0.2 trains all 1 epochs on whole batches"):
        SelectiveBackprop().apply(linear_job(epochs=1, item_losses=item_losses))
    assert SelectiveBackprop().apply(linear_job(epochs=2, item_losses=item_losses)).taken


def test_batch_norm_is_left_with_two_items_of_a_last_batch() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    job = linear_job(model=model, item_losses=item_losses, size=10)  # 32 items: 2 at the end
    line = train(SelectiveBackprop(after=0.0).apply(job)).timeline
    assert [step.items for step in line.steps[:4]] == [5, 5, 5, 2]
    plain = linear_job(item_losses=item_losses, size=10)
    assert train(SelectiveBackprop(after=0.0).apply(plain)).timeline.steps[3].items == 1
