"""Several losses and optimizers by name: they take turns, and techniques see each of them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from bench.errors import BenchError, NotApplicable
from bench.job import Job, Progress
from bench.testing import plain_state
from bench.trial.optimizer_state import put_back
from bench.trial.training import train
from bench.turns import Turns, each_changed, in_turns, parts_of
from optimizers.ema import Ema
from optimizers.gradient_accumulation import GradientAccumulation
from optimizers.mixed_precision import MixedPrecision
from tests.jobs import job_of

POINTS = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)) * 0.3 + 2


class Gan(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        self.critic = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, noise: Tensor) -> Tensor:
        found: Tensor = self.generator(noise)
        return found


def judged(model: Any, points: Tensor, real: bool) -> Tensor:
    scores = model.critic(points)
    wanted = torch.full_like(scores, float(real))
    return nn.functional.binary_cross_entropy_with_logits(scores, wanted)


def critic_loss(model: Any, batch: Any) -> Tensor:
    fake = model(torch.randn(len(batch[0]), 4)).detach()
    return judged(model, batch[0], real=True) + judged(model, fake, real=False)


def generator_loss(model: Any, batch: Any) -> Tensor:
    return judged(model, model(torch.randn(len(batch[0]), 4)), real=True)


LOSSES: dict[str, Any] = {"critic": critic_loss, "generator": generator_loss}
OPTIMIZERS: dict[str, Any] = {
    "critic": lambda model: Adam(model.critic.parameters(), 2e-3),
    "generator": lambda model: Adam(model.generator.parameters(), 1e-3),
}


def gan_job(**parts: Any) -> Job:
    torch.manual_seed(0)
    turns = in_turns(losses=LOSSES, optimizers=OPTIMIZERS)
    own: dict[str, Any] = {"evaluate": lambda model: {}, **turns, **parts}
    return job_of(Gan(), POINTS, torch.zeros(64), **own)


def by_hand() -> dict[str, Tensor]:
    """Train as one would without the parts of a job; return the weights."""
    job = gan_job()
    model: Any = job.model.train()
    critic, generator = (make(model) for make in OPTIMIZERS.values())
    progress = Progress(3)
    for _ in range(3):
        for batch in job.batches(progress):
            critic.zero_grad()
            critic_loss(model, batch).backward()  # type: ignore[no-untyped-call]
            critic.step()
            generator.zero_grad()
            generator_loss(model, batch).backward()  # type: ignore[no-untyped-call]
            generator.step()
    return plain_state(model)


def test_each_optimizer_follows_its_own_loss_in_turn() -> None:
    job = gan_job()
    train(job)
    found = plain_state(job.model)
    assert all(torch.equal(found[name], value) for name, value in by_hand().items())


def test_accumulation_trains_both_nets() -> None:
    job = GradientAccumulation().apply(gan_job())
    before = plain_state(job.model)
    train(job)
    after = plain_state(job.model)
    assert not any(torch.equal(before[name], after[name]) for name in before)


def test_every_loss_is_computed_in_16_bits() -> None:
    seen = []

    def noting(loss: Any) -> Any:
        def noted(model: Any, batch: Any) -> Tensor:
            seen.append(torch.is_autocast_enabled("cpu"))
            return loss(model, batch)  # type: ignore[no-any-return]

        return noted

    turns = in_turns({name: noting(loss) for name, loss in LOSSES.items()}, OPTIMIZERS)
    train(MixedPrecision().apply(gan_job(**turns)))
    assert seen
    assert all(seen)


def test_one_schedule_sets_the_rates_of_all() -> None:
    def halved(optimizer: Optimizer, progress: Any) -> LambdaLR:
        return LambdaLR(optimizer, lambda step: 0.5)

    made: list[Optimizer] = []

    def kept(model: nn.Module) -> Optimizer:
        made.append(gan_job().make_optimizer(model))
        return made[0]

    train(gan_job(make_optimizer=kept, make_scheduler=halved))
    assert [group["lr"] for group in made[0].param_groups] == [1e-3, 5e-4]


def test_gradients_of_each_are_clipped() -> None:
    norms = []

    def look(optimizer: Optimizer, *_: Any) -> None:
        grads = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(float(torch.stack([g.square().sum() for g in grads]).sum().sqrt()))

    def watched(model: nn.Module) -> Optimizer:
        made = gan_job().make_optimizer(model)
        for one in parts_of(made):
            one.register_step_post_hook(look)
        return made

    train(gan_job(make_optimizer=watched, clip=0.01))
    assert max(norms) == pytest.approx(0.01, rel=1e-2)


def test_the_state_of_all_is_kept() -> None:
    job = gan_job()
    optimizer = job.make_optimizer(job.model)
    batch = next(iter(job.batches(None)))  # type: ignore[arg-type]
    job.step(job, batch, optimizer, lambda phase: None)
    again = job.make_optimizer(job.model)
    again.load_state_dict(optimizer.state_dict())
    (_, one), (_, other) = (list(made.named.items())[1] for made in (optimizer, again))  # type: ignore[attr-defined]
    assert str(one.state_dict()) == str(other.state_dict())


def test_each_optimizer_can_be_made_anew() -> None:
    job = gan_job()
    made = each_changed(
        job.make_optimizer(job.model), lambda one: torch.optim.SGD(one.param_groups, lr=1.0)
    )
    assert isinstance(made, Turns)
    assert [type(one) for one in parts_of(made)] == [torch.optim.SGD] * 2


def test_an_average_of_weights_that_take_turns_is_refused() -> None:
    with pytest.raises(NotApplicable, match="optimizers take turns: critic, generator"):
        Ema().apply(gan_job())


def test_one_optimizer_in_the_place_of_all_is_refused() -> None:
    job = gan_job(make_optimizer=lambda model: Adam(model.parameters()))
    with pytest.raises(NotApplicable, match="take turns, and a technique put one Adam in the"):
        train(job)


def test_losses_and_optimizers_have_the_same_names() -> None:
    with pytest.raises(BenchError, match="losses of critic, generator, but optimizers of critic;"):
        in_turns(LOSSES, {"critic": OPTIMIZERS["critic"]})


def test_a_schedule_reaches_each_optimizer_once_a_state_is_put_back() -> None:
    job = gan_job()
    optimizer = job.make_optimizer(job.model)
    put_back(optimizer, copy.deepcopy(optimizer.state_dict()))
    own = [group for one in parts_of(optimizer) for group in one.param_groups]
    assert [*map(id, optimizer.param_groups)] == [*map(id, own)]
