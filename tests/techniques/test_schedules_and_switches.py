"""dynamic-lr, temperature-schedule and cuda-optimizations, each by what is its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau

from baselines.timehut import TimeHUTSettings
from baselines.timehut.schedulers import SCHEDULES
from bench.batches import Batch
from bench.errors import NotApplicable
from bench.job import Job, Mark, Progress, plain_step
from bench.trial.training import train
from optimizers.cuda_optimizations import CudaOptimizations
from optimizers.dynamic_lr import DynamicLR, cuts
from optimizers.limit_steps import LimitSteps
from optimizers.temperature_schedule import TemperatureSchedule
from tests.contract.cases import global_state, probe_for
from tests.jobs import ConvSettings, linear_job

RATE = 0.05
STEPS = 5 * 4


def rates_while_training(technique: DynamicLR, **parts: Any) -> list[float]:
    """Return the learning rate of every step of five epochs of four steps."""
    seen: list[float] = []

    def step(job: Job, batch: Batch, optimizer: Optimizer, mark: Mark) -> Tensor:
        seen.append(optimizer.param_groups[0]["lr"])
        return plain_step(job, batch, optimizer, mark)

    train(technique.apply(linear_job(**{"epochs": 5, "step": step, **parts})))
    return seen


def rates_of(make: Callable[[Optimizer], Any], steps: int) -> list[float]:
    """Return the learning rates that a scheduler of torch gives."""
    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=RATE)
    scheduler, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_a_cosine_is_torch_s_at_every_step() -> None:
    wanted = rates_of(lambda o: CosineAnnealingLR(o, STEPS, eta_min=0.1 * RATE), STEPS)
    assert rates_while_training(DynamicLR(warmup=0, final=0.1)) == pytest.approx(wanted)


def test_one_cycle_is_torch_s_at_every_step() -> None:
    peak, total = 4.0, 101
    warmup = (0.3 * total - 1) / (total - 1)  # torch ends its first phase a step early
    rule = DynamicLR(policy="onecycle", peak=peak, warmup=warmup, final=1e-3)

    def make(optimizer: Optimizer) -> Any:
        return OneCycleLR(
            optimizer, peak * RATE, total_steps=total, pct_start=0.3, div_factor=25,
            final_div_factor=1e3 / 25, cycle_momentum=False,
        )  # fmt: skip

    found = [RATE * rule.factor(step / (total - 1), ()) for step in range(total - 1)]
    assert found == pytest.approx(rates_of(make, total - 1))


def test_a_warm_up_rises_to_the_peak() -> None:
    found = rates_while_training(DynamicLR(warmup=0.5, peak=2.0, final=0.0))
    assert found[:11] == pytest.approx([2 * RATE * step / 10 for step in range(11)])
    assert max(found) == found[10]
    assert found[-1] < 0.1 * RATE


def test_a_rate_may_stay_within_an_epoch() -> None:
    found = rates_while_training(DynamicLR(per="epoch", warmup=0))
    assert [len(set(found[start : start + 4])) for start in range(0, STEPS, 4)] == [1] * 5
    assert len(set(found)) == 5


LOSSES = [5.0, 4.0, 4.0, 4.1, 3.9999, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0]


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_plateaus_are_torch_s(patience: int) -> None:
    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=patience)
    for number in range(len(LOSSES)):
        scheduler.step(LOSSES[number])
        wanted = optimizer.param_groups[0]["lr"]
        assert 0.5 ** cuts(LOSSES[: number + 1], patience) == wanted


def test_a_plateau_of_the_training_loss_cuts_the_rate() -> None:
    still = {"loss": lambda model, batch: model(batch[0]).sum() * 0 + 1}
    found = rates_while_training(DynamicLR(policy="plateau", patience=0, warmup=0), **still)
    assert found == pytest.approx([RATE * 0.5 ** max(step // 4 - 1, 0) for step in range(STEPS)])


def test_every_group_keeps_its_own_rate() -> None:
    def make(model: nn.Module) -> Optimizer:
        weight, bias = model.parameters()
        groups: list[dict[str, Any]] = [{"params": [weight], "lr": 1.0}, {"params": [bias]}]
        return SGD(groups, lr=0.5)

    job = DynamicLR(warmup=0, final=0.0).apply(linear_job(make_optimizer=make, epochs=4))
    optimizer = job.make_optimizer(job.model)
    job.schedule(optimizer, Progress(4, epoch=2))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.25])


def test_where_epochs_are_cut_short_the_schedule_still_ends_at_its_end() -> None:
    plain = linear_job()

    def batches(progress: Progress) -> Any:
        yield from list(plain.batches(progress))[:2]

    found = rates_while_training(DynamicLR(warmup=0, final=0.0), batches=batches)
    wanted = [(epoch + part / 2) / 5 for epoch in range(5) for part in range(2)]
    rule = DynamicLR(warmup=0, final=0.0)
    assert found[2:] == pytest.approx([RATE * rule.factor(done, ()) for done in wanted[2:]])


def halving(optimizer: Optimizer, progress: Progress) -> None:
    for group in optimizer.param_groups:
        group["lr"] = RATE * 0.5**progress.epoch


def test_a_baseline_with_a_schedule_of_its_own_is_refused() -> None:
    with pytest.raises(NotApplicable, match=r"sets its learning rate itself \(.* epoch 2"):
        DynamicLR().apply(linear_job(schedule=halving))


def test_a_baseline_that_changes_rates_while_it_trains_is_refused() -> None:
    def update(optimizer: Optimizer) -> None:
        optimizer.step()
        optimizer.param_groups[0]["lr"] *= 0.9

    with pytest.raises(NotApplicable, match="changes its learning rate itself while it trains"):
        train(DynamicLR().apply(linear_job(update=update)))


def temperature(**settings: Any) -> TimeHUTSettings:
    technique = TemperatureSchedule(**settings)
    found = technique.configure(TimeHUTSettings(), probe_for(technique))
    assert isinstance(found, TimeHUTSettings)
    return found


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "cosine_annealing"])
def test_every_schedule_of_the_baseline_can_be_chosen(name: str) -> None:
    assert temperature(schedule=name).temperature_schedule == name


def test_what_is_not_asked_for_stays_as_it_is() -> None:
    found = temperature(schedule="cyclic", minimum=0.2, period=9)
    changed = {"temperature_schedule": "cyclic", "temperature_min": 0.2, "temperature_period": 9}
    assert found == TimeHUTSettings().model_copy(update=changed)


def test_a_schedule_that_is_there_already_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="follows cosine_annealing already"):
        temperature(schedule="cosine_annealing")
    assert temperature(schedule="cosine_annealing", period=50).temperature_period == 50


def test_temperatures_that_the_baseline_refuses_say_why() -> None:
    with pytest.raises(NotApplicable, match="must be below temperature_max"):
        temperature(minimum=2.0)


def test_a_baseline_without_a_temperature_does_not_apply() -> None:
    technique = TemperatureSchedule()
    with pytest.raises(NotApplicable, match="has no setting temperature_schedule"):
        technique.configure(ConvSettings(), probe_for(technique))


def test_cuda_s_switches_need_cuda() -> None:
    with pytest.raises(NotApplicable, match="needs a CUDA device: this run is on the cpu"):
        CudaOptimizations().apply(linear_job())


@pytest.mark.parametrize(
    ("capability", "precision", "tf32"), [((9, 0), "high", True), ((7, 5), "highest", False)]
)
def test_switches_are_on_in_a_step_and_off_after_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str, tf32: bool
) -> None:
    """The switches can be turned without a GPU; only the capability is made up."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    before, seen = global_state(), list[tuple[bool, bool, str]]()

    def loss(model: nn.Module, batch: Any) -> Tensor:
        cudnn = torch.backends.cudnn
        seen.append((cudnn.benchmark, cudnn.allow_tf32, torch.get_float32_matmul_precision()))
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    given = linear_job(device=torch.device("cuda"), loss=loss)
    job = CudaOptimizations().apply(given)
    job.step(job, next(iter(job.batches(Progress(1)))), job.make_optimizer(job.model), print)
    assert seen == [(True, tf32, precision)]
    assert global_state() == before


def test_pinned_memory_is_asked_for_where_the_baseline_has_it() -> None:
    class Pinning(ConvSettings):
        """Settings of a baseline that copies to the device."""

        pin_memory: bool = False

    technique = CudaOptimizations()
    probe = probe_for(technique)
    assert technique.configure(Pinning(), probe).pin_memory
    assert not CudaOptimizations(pin_memory=False).configure(Pinning(), probe).pin_memory
    assert technique.configure(ConvSettings(), probe) == ConvSettings()


def test_an_epoch_is_as_long_as_its_steps_whatever_its_items_are() -> None:
    def tokens(batch: Batch) -> int:
        return 10 * len(batch[0])  # of each text, where the data has 32 of these

    def rates(job: Job) -> list[float]:
        job, seen = DynamicLR().apply(job), list[float]()
        optimizer = job.make_optimizer(job.model)
        job.schedule(optimizer, Progress(1))
        for _ in job.batches(Progress(1)):
            seen.append(optimizer.param_groups[0]["lr"])
        return seen

    told: dict[str, Any] = {"epochs": 1, "epoch_steps": 4}
    assert rates(linear_job(items=tokens, **told)) == pytest.approx(rates(linear_job(**told)))
    assert LimitSteps(share=0.5).apply(linear_job(items=tokens, **told)).epoch_steps == 2


def test_a_share_of_steps_that_nothing_tells_is_refused() -> None:
    job = linear_job(items=lambda batch: 10 * len(batch[0]))  # tokens, and texts are counted
    with pytest.raises(NotApplicable, match=r"of 8 items counts as 80 .* give the job epoch_steps"):
        LimitSteps(share=0.5).apply(job)
    for told in (replace(job, epoch_steps=4), replace(job, epoch_items=320)):
        assert LimitSteps(share=0.5).apply(told).epoch_steps == 2


def test_a_rate_of_whole_epochs_is_that_of_their_middle_and_never_zero() -> None:
    rule = DynamicLR(per="epoch", warmup=0.5)
    found = rates_while_training(rule)[::4]
    assert found == pytest.approx([RATE * rule.factor(0.1 + 0.2 * epoch, ()) for epoch in range(5)])
    assert found[0] == pytest.approx(0.2 * RATE)


class Outer(SGD):
    """Steps by another optimizer, which has groups, and a rate, of its own."""

    def __init__(self, weights: Any, **own: Any) -> None:
        weights = list(weights)
        super().__init__(weights, **own)
        self.inner = SGD(weights, **own)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # torch's has two forms
        self.inner.step()


def test_rates_that_would_not_reach_the_optimizer_that_steps_are_refused() -> None:
    job = linear_job(make_optimizer=lambda m: Outer(m.parameters(), lr=RATE))
    with pytest.raises(NotApplicable, match=r"\(Outer.inner\), whose .* no rate .* would reach"):
        DynamicLR().apply(job)


def test_an_epoch_of_more_items_than_it_was_to_have_is_refused() -> None:
    job = linear_job(items=lambda batch: 5 * len(batch[0]))  # nodes, say, and graphs are counted
    with pytest.raises(NotApplicable, match=r"had 160 items, and was to have 32: .* epoch_steps"):
        train(DynamicLR().apply(job))
    assert train(DynamicLR().apply(replace(job, epoch_items=160))).losses
