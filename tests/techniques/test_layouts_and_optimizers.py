"""channels-last, fused-optimizer and adafactor, each by what is its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from bench.errors import Clash, NotApplicable
from bench.job import Job, Progress
from bench.technique import Technique
from bench.trial.rehearsal import rehearse
from bench.trial.training import train
from optimizers.adafactor import Adafactor
from optimizers.channels_last import ChannelsLast, is_channels_last
from optimizers.fused_optimizer import FusedOptimizer
from tests.contract.cases import CPU
from tests.jobs import job_of, linear_job
from tests.pictures import Pictures, PictureSettings

Make = Callable[[nn.Module], Optimizer]


def pictures() -> Job:
    return Pictures().job(PictureSettings(), CPU, seed=0)


def convolutions(job: Job) -> list[nn.Conv2d]:
    return [module for module in job.model.modules() if isinstance(module, nn.Conv2d)]


def test_all_convolutions_are_laid_out_channels_last_and_stay_so() -> None:
    job = ChannelsLast().apply(pictures())
    train(job)
    assert len(convolutions(job)) == 3
    assert all(is_channels_last(layer.weight) for layer in convolutions(job))


def test_activations_are_channels_last_too() -> None:
    job, seen = ChannelsLast().apply(pictures()), list[bool]()
    convolutions(job)[1].register_forward_hook(
        lambda module, args, found: seen.append(is_channels_last(found))
    )
    job.model(*job.sample(4))
    assert seen == [True]


def test_a_net_without_images_has_no_layout_of_images() -> None:
    with pytest.raises(NotApplicable, match="the model has no Conv2d"):
        ChannelsLast().apply(linear_job())


def test_what_is_channels_last_already_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="all 3 2D convolutions are channels last already"):
        ChannelsLast().apply(ChannelsLast().apply(pictures()))


def with_optimizer(make: Make) -> Job:
    return linear_job(make_optimizer=make)


def made(technique: Technique, make: Make) -> Optimizer:
    job = technique.apply(with_optimizer(make))
    return job.make_optimizer(job.model)


def test_the_optimizer_is_made_again_with_the_same_options() -> None:
    found = made(
        FusedOptimizer(),
        lambda m: AdamW(m.parameters(), lr=0.2, betas=(0.8, 0.9), weight_decay=0.3),
    )
    assert type(found) is AdamW
    (group,) = found.param_groups
    assert (group["fused"], group["foreach"]) == (True, False)
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.2, (0.8, 0.9), 0.3)


def test_groups_keep_their_own_options() -> None:
    def make(model: nn.Module) -> Optimizer:
        weight, bias = model.parameters()
        groups: list[dict[str, Any]] = [{"params": [weight], "lr": 0.5}, {"params": [bias]}]
        return SGD(groups, lr=0.1, momentum=0.9)

    groups = made(FusedOptimizer(form="foreach"), make).param_groups
    assert [group["lr"] for group in groups] == [0.5, 0.1]
    assert [group["foreach"] for group in groups] == [True, True]
    assert [group["momentum"] for group in groups] == [0.9, 0.9]


@pytest.mark.parametrize("form", ["fused", "foreach"])
@pytest.mark.parametrize("kind", [Adam, AdamW, SGD])
def test_a_fused_optimizer_makes_the_same_updates(kind: Any, form: Any) -> None:
    def make(model: nn.Module) -> Optimizer:
        found: Optimizer = kind(model.parameters(), lr=0.05, weight_decay=0.1)
        return found

    plain, job = (replace(with_optimizer(make), clip=0.5) for _ in range(2))
    job = FusedOptimizer(form=form).apply(job)
    assert train(job).losses == pytest.approx(train(plain).losses, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda m: AdamW(m.parameters(), fused=True), "AdamW is in its fused form already"),
        (lambda m: RMSprop(m.parameters()), "torch.optim.RMSprop has no fused form"),
        (lambda m: type("Mine", (SGD,), {})(m.parameters()), "Mine is not one of torch.optim"),
        (lambda m: Adam(m.parameters(), differentiable=True), "Adam has no fused form: "),
        (lambda m: Adam([torch.ones(2) * 1j]), "Adam has no fused form: .*floating point"),
    ],
)
def test_an_optimizer_without_another_form_does_not_apply(make: Make, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        made(FusedOptimizer(), make)


@pytest.mark.parametrize("technique", [FusedOptimizer(), Adafactor()])
@pytest.mark.filterwarnings("error")
def test_a_scheduler_made_beside_the_optimizer_still_sets_its_rates(technique: Technique) -> None:
    kept: list[Any] = []

    def make(model: nn.Module) -> Optimizer:
        made = AdamW(model.parameters(), lr=0.1)
        made.register_step_pre_hook(lambda optimizer, args, kwargs: kept.append("hook"))
        kept.append(torch.optim.lr_scheduler.LambdaLR(made, lambda step: 0.5**step))
        return made

    job = technique.apply(with_optimizer(make))
    kept.clear()
    optimizer = job.make_optimizer(job.model)
    assert kept[0].optimizer is optimizer
    rates, moved = [], []
    for batch in job.batches(Progress(1)):
        before = [p.detach().clone() for p in job.model.parameters()]
        job.loss(job.model, batch).backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
        kept[0].step()
        rates.append(optimizer.param_groups[0]["lr"])
        after = zip(job.model.parameters(), before, strict=True)
        moved.append(sum(float((p.detach() - old).abs().sum()) for p, old in after))
    assert rates == pytest.approx([0.05, 0.025, 0.0125, 0.00625])
    assert moved[-1] < moved[0] / 4
    assert kept.count("hook") == 4


def test_hooks_run_once_a_step_where_torch_s_own_adafactor_was_made_too() -> None:
    torch.optim.Adafactor([nn.Parameter(torch.zeros(1))])  # torch hooks its class then
    test_a_scheduler_made_beside_the_optimizer_still_sets_its_rates(Adafactor())


def test_adafactor_is_refused_where_gradients_are_sparse() -> None:
    net = nn.Sequential(nn.Embedding(4, 8, sparse=True), nn.Flatten(), nn.Linear(8 * 3, 2))
    ids = torch.arange(48).reshape(16, 3) % 4
    job = job_of(net, ids, ids[:, 0] % 2, make_optimizer=lambda m: SGD(m.parameters(), momentum=1))
    with pytest.raises(NotApplicable, match="takes no sparse gradients, as an embedding with sp"):
        rehearse(Adafactor().apply(job))


def test_adafactor_goes_on_with_the_optimizer_that_a_baseline_holds() -> None:
    held: list[Optimizer] = []

    def make(model: nn.Module) -> Optimizer:
        held.append(Adam(model.parameters(), lr=0.01))
        return held[-1]

    job = Adafactor().apply(matrix_job(make))
    made = job.make_optimizer(job.model)
    assert made is held[-1]
    assert isinstance(held[-1], torch.optim.Adafactor)


def numbers(optimizer: Optimizer) -> int:
    """Return how many numbers an optimizer keeps."""
    return sum(
        value.numel()
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor) and value.dim()
    )


def matrix_job(make: Make) -> Job:
    x = torch.randn(16, 40, generator=torch.Generator().manual_seed(0))
    return job_of(nn.Linear(40, 30), x, (x.sum(1) > 0).long(), make_optimizer=make)


def one_update(job: Job) -> Optimizer:
    optimizer = job.make_optimizer(job.model)
    job.loss(job.model, (job.sample(8)[0], torch.zeros(8).long())).backward()  # type: ignore[no-untyped-call]  # torch's
    optimizer.step()
    return optimizer


def test_adafactor_keeps_rows_and_columns_of_a_matrix() -> None:
    job = matrix_job(lambda m: Adam(m.parameters(), lr=0.01))
    assert numbers(one_update(job)) == 2 * (30 * 40 + 30)
    assert numbers(one_update(Adafactor().apply(job))) == (30 + 40) + 30


def moved(job: Job) -> float:
    """Return how far one update moves the weights of a matrix, by their root mean square."""
    weight = next(p for p in job.model.parameters() if p.ndim == 2)
    before = weight.detach().clone()
    one_update(job)
    return (weight.detach() - before).square().mean().sqrt().item()


@pytest.mark.parametrize("make", [Adam, lambda p, lr: SGD(p, lr, momentum=0.9)])
def test_its_learning_rate_is_the_baseline_s_times_a_factor(make: Any) -> None:
    def job_at(rate: float, factor: float) -> Job:
        torch.manual_seed(0)
        return Adafactor(factor=factor).apply(matrix_job(lambda m: make(m.parameters(), lr=rate)))

    assert moved(job_at(1e-3, 4)) == pytest.approx(moved(job_at(2e-3, 2)))
    assert moved(job_at(1e-3, 8)) == pytest.approx(2 * moved(job_at(1e-3, 4)))


def test_a_schedule_that_sets_rates_itself_does_not_undo_the_factor() -> None:
    job = Adafactor(factor=5).apply(matrix_job(lambda m: Adam(m.parameters(), lr=1.0)))
    optimizer = job.make_optimizer(job.model)
    for group in optimizer.param_groups:
        group["lr"] = 1e-3
    weight = next(p for p in job.model.parameters() if p.ndim == 2)
    before, size = weight.detach().clone(), weight.detach().square().mean().sqrt().item()
    job.loss(job.model, (job.sample(8)[0], torch.zeros(8).long())).backward()  # type: ignore[no-untyped-call]  # torch's
    optimizer.step()
    step = (weight.detach() - before).square().mean().sqrt().item()
    assert step == pytest.approx(5e-3 * size, rel=0.2)
    assert optimizer.param_groups[0]["lr"] == 1e-3


def test_an_optimizer_that_remembers_nothing_has_nothing_to_factor() -> None:
    with pytest.raises(NotApplicable, match="SGD without momentum keeps no numbers"):
        made(Adafactor(), lambda m: SGD(m.parameters(), lr=0.1))


def test_adafactor_for_adafactor_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="trains with Adafactor already"):
        made(Adafactor(), lambda m: torch.optim.Adafactor(m.parameters()))


def test_the_fused_form_of_an_optimizer_that_is_replaced_is_a_clash() -> None:
    fused = FusedOptimizer().apply(linear_job())
    with pytest.raises(Clash, match="adafactor and fused-optimizer both replace"):
        Adafactor().apply(fused)
    with pytest.raises(NotApplicable, match="only those have a fused form"):
        FusedOptimizer().apply(Adafactor().apply(linear_job()))


def test_adafactor_is_for_optimizers_that_keep_numbers_whatever_they_call_them() -> None:
    Adafactor().apply(linear_job(make_optimizer=lambda m: RMSprop(m.parameters())))
    plain = linear_job(make_optimizer=lambda m: SGD(m.parameters(), lr=0.1))
    with pytest.raises(NotApplicable, match="SGD without momentum keeps no numbers beside the wei"):
        Adafactor().apply(plain)


def test_adafactor_takes_nothing_over_of_what_an_optimizer_began_with() -> None:
    def begun(kind: type[Optimizer]) -> Job:
        return linear_job(make_optimizer=lambda m: kind(m.parameters(), lr=0.01))  # type: ignore[call-arg]  # each has one

    adagrad, adam = (train(Adafactor().apply(begun(kind))) for kind in (Adagrad, Adam))
    assert adagrad.losses == adam.losses


def test_a_fused_form_that_updates_16_bit_weights_wrongly_is_refused() -> None:
    with pytest.raises(NotApplicable, match=r"fused SGD updates torch.bfloat16 .* off"):
        made(FusedOptimizer(), lambda m: SGD(m.bfloat16().parameters(), lr=0.1))


def test_a_fused_form_is_refused_where_gradients_lie_otherwise_than_weights() -> None:
    def backward(loss: torch.Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        weight = job.model.weight
        weight.grad = weight.grad.T.contiguous().T  # type: ignore[union-attr, operator]

    job = linear_job(backward=backward)
    with pytest.raises(NotApplicable, match=r"\(2, 6\) lies otherwise in memory \(strides \(1, 2"):
        train(FusedOptimizer().apply(job))
    assert train(FusedOptimizer(form="foreach").apply(linear_job(backward=backward))).losses


def test_a_fused_form_is_refused_where_a_weight_gets_its_first_gradient_late() -> None:
    calls: list[int] = []

    def loss(model: Any, batch: Any) -> torch.Tensor:
        calls.append(1)
        bias = model.bias if len(calls) > 1 else None
        return nn.functional.linear(batch[0], model.weight, bias).square().mean()

    with pytest.raises(NotApplicable, match="gets its first gradient after others"):
        train(FusedOptimizer().apply(linear_job(loss=loss)))


def test_a_fused_form_is_refused_where_a_layer_is_thawed_later() -> None:
    def schedule(optimizer: Optimizer, progress: Progress) -> None:
        job.model.get_parameter("bias").requires_grad_(progress.epoch > 0)

    job = linear_job(schedule=schedule)
    with pytest.raises(NotApplicable, match="gets its first gradient after others"):
        train(FusedOptimizer().apply(job))


def test_an_optimizer_that_was_made_beforehand_is_switched_once() -> None:
    job = linear_job()
    beforehand = AdamW(job.model.parameters(), lr=0.01)
    job = FusedOptimizer().apply(replace(job, make_optimizer=lambda model: beforehand))
    for _ in range(2):
        assert job.make_optimizer(job.model) is beforehand
    assert beforehand.param_groups[0]["fused"]
