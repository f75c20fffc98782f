"""pruning and low-rank: what is removed, when, and what the optimizer trains afterwards."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import NotApplicable
from bench.job import Job, Progress
from bench.model.surgery import point_to
from bench.trial.flops import forward_flops
from bench.trial.rehearsal import rehearse
from bench.trial.training import StepLimit, train
from optimizers.low_rank import Factors, LowRank
from optimizers.pruning import Pruning
from tests.jobs import ITEMS, cross_entropy, job_of, linear_job


def conv_job(**parts: Any) -> Job:
    """Return the job of a small convolutional net, of three epochs unless said otherwise."""
    torch.manual_seed(0)
    x = torch.randn(ITEMS, 2, 12, generator=torch.Generator().manual_seed(0))
    model = parts.pop("model", None) or nn.Sequential(
        nn.Conv1d(2, 16, 3, padding=1), nn.BatchNorm1d(16), nn.ReLU(),
        nn.Conv1d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(32, 2),
    )  # fmt: skip
    return job_of(model, x, (x.mean((1, 2)) > 0).long(), **parts)


def wide_job(hidden: int = 64, **parts: Any) -> Job:
    """Return the job of a net with a wide linear layer."""
    torch.manual_seed(0)
    x = torch.randn(ITEMS, 6, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(
        nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 2)
    )
    return job_of(model, x, (x.sum(1) > 0).long(), **parts)


class Noise(nn.Module):
    """Draws random numbers in every mode."""

    def forward(self, x: Tensor) -> Tensor:
        """Add a little to each number."""
        return x + 0.01 * torch.randn_like(x)


def noisy() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 16, 3, padding=1), Noise(), nn.Conv1d(16, 32, 3, padding=1),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 2),
    )  # fmt: skip


def widths(model: nn.Module) -> list[int]:
    return [m.out_channels for m in model.modules() if isinstance(m, nn.Conv1d)]


def test_half_of_the_channels_go_and_the_output_stays() -> None:
    job = conv_job()
    whole = forward_flops(job.model, job.sample(1))
    model = train(Pruning(ratio=0.5, after=0).apply(job)).model
    assert widths(model) == [8, 16]
    assert model(*job.sample(4)).shape == (4, 2)
    assert forward_flops(model, job.sample(1)) < whole / 2


def test_the_channels_that_matter_least_go() -> None:
    job = conv_job()
    first = job.model[0]  # type: ignore[index]  # a Sequential
    with torch.no_grad():
        first.weight[::2] *= 100
    kept = first.weight[::2].clone()
    pruned = Pruning(after=0).apply(job).model[0]  # type: ignore[index]  # a Sequential
    assert torch.equal(pruned.weight, kept)


def test_a_target_of_flops_is_met() -> None:
    job = conv_job()
    whole = forward_flops(job.model, job.sample(2))
    model = Pruning(flops=0.4, after=0).apply(job).model
    assert 0.2 * whole < forward_flops(model, job.sample(2)) <= 0.4 * whole


def test_a_target_of_flops_that_can_t_be_met_does_not_apply() -> None:
    with pytest.raises(
        NotApplicable, match=r"of the FLOPs are left with 95% .*: flops=1e-05 can't"
    ):
        Pruning(flops=1e-5).apply(conv_job())


def test_channels_go_after_the_share_of_epochs_and_the_rest_fine_tunes() -> None:
    seen: list[tuple[int, list[int]]] = []
    job = Pruning(after=0.5).apply(conv_job(epochs=4))
    train(job, on_epoch=lambda progress: seen.append((progress.epoch, widths(job.model))))
    assert seen == [(1, [16, 32]), (2, [16, 32]), (3, [8, 16]), (4, [8, 16])]


def test_the_weights_that_are_left_go_on_being_trained() -> None:
    job = Pruning(after=0.5).apply(conv_job(epochs=4))
    states: list[Tensor] = []
    train(job, on_epoch=lambda p: states.append(next(job.model.parameters()).detach().clone()))
    assert states[2].shape == states[3].shape
    assert not torch.equal(states[2], states[3])


def test_a_training_that_ends_before_the_removal_does_not_count_as_pruned() -> None:
    job = conv_job(epochs=10, stop=lambda job, progress: progress.epoch == 2)
    with pytest.raises(NotApplicable, match="training ended before epoch 5"):
        train(Pruning().apply(job))


@pytest.mark.parametrize("technique", [Pruning, LowRank])
@pytest.mark.parametrize("whole", [True, False])
def test_a_best_model_of_before_the_change_is_not_deployed(technique: Any, whole: bool) -> None:
    best: list[nn.Module] = []

    def stop(job: Job, progress: Progress) -> bool:
        if progress.epoch == 1:
            best.append(copy.deepcopy(job.model))
        return False

    def finish(job: Job, model: nn.Module) -> nn.Module:
        if whole:
            return best[0]
        model.load_state_dict(best[0].state_dict())
        return model

    job = wide_job(stop=stop, finish=finish) if technique is LowRank else conv_job(
        stop=stop, finish=finish
    )  # fmt: skip
    with pytest.raises(NotApplicable, match="of before the change"):
        train(technique(after=0.5).apply(job))


def test_weights_that_a_baseline_averages_can_t_be_cut_in_the_midst() -> None:
    average = nn.Linear(6, 2)
    job = conv_job(snapshot=lambda model: average)
    with pytest.raises(NotApplicable, match="an average"):
        Pruning().apply(job)
    assert widths(Pruning(after=0).apply(job).model) == [8, 16]


@pytest.mark.parametrize("after", [0, 0.5])
@pytest.mark.parametrize("technique", [Pruning, LowRank])
def test_what_was_frozen_stays_frozen(technique: Any, after: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(ITEMS, 6)
    body = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
    net = nn.Sequential(nn.Linear(6, 6), body.requires_grad_(False), nn.Linear(32, 2))
    job = technique(after=after).apply(job_of(net, x, (x.sum(1) > 0).long()))
    whole = sum(p.numel() for p in job.model.parameters())
    trained = train(job).model
    frozen = {name.partition(".")[0]: p.requires_grad for name, p in trained.named_parameters()}
    assert frozen == {"0": True, "1": False, "2": True}
    assert sum(p.numel() for p in trained.parameters()) < whole + (after == 0)


def test_an_optimizer_made_before_the_change_trains_what_takes_its_place() -> None:
    job = wide_job()
    made = torch.optim.Adam(job.model.parameters(), lr=0.05)
    job = LowRank(after=0).apply(replace(job, make_optimizer=lambda model: made))
    losses = train(job).losses
    trained = {id(p) for group in made.param_groups for p in group["params"]}
    assert trained == {id(p) for p in job.model.parameters()}
    assert losses[-1] < 0.7 * losses[0]


def test_an_optimizer_of_weights_that_were_kept_is_refused() -> None:
    job = wide_job()
    kept = [*job.model.parameters()]
    job = replace(job, make_optimizer=lambda model: torch.optim.Adam(kept, lr=0.05))
    with pytest.raises(NotApplicable, match=r"let make_optimizer\(model\) take model.parameters"):
        LowRank(after=0).apply(job)


class Lookahead:
    """Slow weights beside an optimizer's, which a step in five returns to."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner, self.param_groups, self.state = inner, inner.param_groups, inner.state
        self.slow = [[p.detach().clone() for p in group["params"]] for group in self.param_groups]
        self.step, self.zero_grad = inner.step, inner.zero_grad


@pytest.mark.parametrize(
    ("make", "kept"),
    [
        (lambda model: Lookahead(torch.optim.SGD(model.parameters(), lr=0.1)), "Lookahead.slow"),
        (lambda model: torch.optim.LBFGS(model.parameters()), "LBFGS._params"),
    ],
)
@pytest.mark.parametrize("technique", [Pruning, LowRank])
def test_an_optimizer_that_keeps_weights_of_its_own_is_refused_before_training(
    technique: Any, make: Any, kept: str
) -> None:
    job = technique(after=0.5).apply(wide_job(make_optimizer=make))
    with pytest.raises(NotApplicable, match=rf"keeps weights besides its groups \({kept}\)"):
        rehearse(replace(job, update=lambda optimizer: None))


def test_an_average_made_before_the_change_is_refused_at_once_too() -> None:
    job = conv_job()
    average = copy.deepcopy(job.model)
    with pytest.raises(NotApplicable, match=r"0\.weight has the shape \(16, 2, 3\) there, and \(8"):
        Pruning(after=0).apply(replace(job, snapshot=lambda model: average))


def test_a_change_in_the_midst_draws_no_random_number_of_the_training() -> None:
    job = Pruning(after=0.5).apply(conv_job(epochs=4, model=noisy()))
    optimizer, progress = job.make_optimizer(job.model), Progress(4, epoch=2)
    before = torch.get_rng_state()
    job.schedule(optimizer, progress)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "layer", [nn.GRU(6, 6, batch_first=True), nn.TransformerEncoderLayer(6, 2, batch_first=True)]
)
def test_what_can_t_be_traced_does_not_apply(layer: nn.Module) -> None:
    job = linear_job(model=nn.Sequential(layer))
    with pytest.raises(NotApplicable, match=f"a {type(layer).__name__}, whose channels"):
        Pruning().apply(job)


def test_a_model_of_its_head_alone_has_nothing_to_remove() -> None:
    with pytest.raises(NotApplicable, match=r"ratio=0.5 removes no channel"):
        Pruning().apply(linear_job())


def test_channels_tied_to_the_input_are_refused_with_the_reason() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(2, 2, 3, padding=1)
            self.head = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.head((self.conv(x) + x).mean(2))
            return found

    with pytest.raises(NotApplicable, match="does not run with fewer channels"):
        Pruning().apply(conv_job(model=Residual()))


def test_a_refusal_leaves_the_model_as_it_was() -> None:
    job = conv_job()
    before = [p.clone() for p in job.model.parameters()]
    with pytest.raises(NotApplicable):
        Pruning(flops=1e-5).apply(job)
    assert all(torch.equal(a, b) for a, b in zip(before, job.model.parameters(), strict=True))


def test_the_nearest_factors_of_a_rank_take_a_layer_s_place() -> None:
    job = wide_job()
    wide = job.model[2].weight.detach().clone()  # type: ignore[index]  # a Sequential
    made = LowRank(rank=0.25, after=0).apply(job).model[2]  # type: ignore[index]  # a Sequential
    found = (made[1].weight @ made[0].weight).detach()
    u, s, v = torch.linalg.svd(wide)
    assert torch.allclose(found, (u[:, :16] * s[:16]) @ v[:16], atol=1e-5)


def test_the_rank_may_follow_the_energy_of_the_singular_values() -> None:
    job = wide_job()
    layer = job.model[2]  # type: ignore[index]  # a Sequential
    with torch.no_grad():
        u, _, v = torch.linalg.svd(layer.weight)
        layer.weight.copy_((u[:, :3] * torch.tensor([3.0, 2.0, 1.0])) @ v[:3])
    LowRank(energy=0.9, after=0).apply(job)  # 9 + 4 of 14
    assert job.model[2][0].out_features == 2  # type: ignore[index]  # a Sequential


def test_layers_that_would_not_shrink_are_left_or_refused() -> None:
    job = LowRank(rank=0.6, after=0).apply(wide_job())
    assert [type(m) for m in job.model.children()] == [
        Factors, nn.ReLU, nn.Linear, nn.ReLU, Factors,
    ]  # fmt: skip
    with pytest.raises(
        NotApplicable, match=r"rank=0\.95 makes no linear layer smaller: 6x64 at rank"
    ):
        LowRank(rank=0.95).apply(wide_job())


def test_a_model_without_linear_layers_does_not_apply() -> None:
    job = conv_job(model=nn.Sequential(nn.Conv1d(2, 2, 1), nn.AdaptiveAvgPool1d(1), nn.Flatten()))
    with pytest.raises(NotApplicable, match="no linear layer that could be factorised"):
        LowRank().apply(job)


def test_layers_whose_weights_others_read_are_left_alone() -> None:
    layer = nn.TransformerEncoderLayer(32, 2, dim_feedforward=64, batch_first=True)
    with pytest.raises(NotApplicable, match="no linear layer that could be factorised"):
        LowRank().apply(linear_job(model=layer))


def test_shared_weights_stay_shared() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    model[1].weight = model[0].weight
    with pytest.raises(NotApplicable, match="no linear layer that could be factorised"):
        LowRank().apply(linear_job(model=model))


def test_factors_are_trained_in_the_groups_of_what_they_replace() -> None:
    def by_kind(model: nn.Module) -> torch.optim.Optimizer:
        named = list(model.named_parameters())
        biases = [p for name, p in named if name.endswith("bias")]
        weights = [p for name, p in named if not name.endswith("bias")]
        optimizer = torch.optim.AdamW(weights, lr=0.01)
        optimizer.add_param_group({"params": biases, "weight_decay": 0.0})
        return optimizer

    made: list[torch.optim.Optimizer] = []

    def make(model: nn.Module) -> torch.optim.Optimizer:
        made.append(by_kind(model))
        return made[0]

    job = LowRank(rank=0.25, after=0.5).apply(wide_job(epochs=4, make_optimizer=make))
    train(job)
    expected = [[id(p) for p in group["params"]] for group in by_kind(job.model).param_groups]
    found = [[id(p) for p in group["params"]] for group in made[0].param_groups]
    assert [sorted(group) for group in found] == [sorted(group) for group in expected]


def test_what_was_not_trained_is_not_trained_afterwards() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    before = {id(p): name for name, p in model.named_parameters()}
    model[0], model[1] = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 4))
    point_to(optimizer, before, dict(model.named_parameters()))
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [
        id(p) for p in model[1].parameters()
    ]


def test_equal_pruned_trainings_are_equal() -> None:
    jobs = [Pruning().apply(conv_job(epochs=4)) for _ in range(2)]
    limit = StepLimit(steps=16, seconds=0, most_steps=16)
    first, second = (train(job, limit).losses for job in jobs)
    assert first == second


class ReadsWeight(nn.Module):
    """A classifier whose weight is normalised before it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.head = nn.Linear(6, 64), nn.Linear(64, 64, bias=False)
        self.scores = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.linear(torch.relu(self.wide(x)), self.head.weight.softmax(0))
        found: Tensor = self.scores(hidden)
        return found


def test_a_layer_whose_weight_the_model_reads_is_left_as_it_is() -> None:
    job = LowRank(rank=0.1, after=0.5).apply(linear_job(model=ReadsWeight()))
    assert type(job.model.head) is nn.Linear
    train(job)
    kinds = [type(layer) for layer in job.model.children()]
    assert kinds == [Factors, nn.Linear, Factors]


def test_a_layer_in_two_places_or_with_a_hook_is_left_as_it_is() -> None:
    twice = nn.Linear(64, 64)
    model = nn.Sequential(nn.Linear(6, 64), twice, nn.Sequential(twice), nn.Linear(64, 64))
    model[3].register_forward_hook(lambda module, args, output: None)
    job = LowRank(after=0).apply(linear_job(model=model))
    assert [type(layer) for layer in job.model.children()] == [
        Factors, nn.Linear, nn.Sequential, nn.Linear,
    ]  # fmt: skip
    assert [part for part in model.modules() if part is twice] == [twice]


def test_a_loss_that_reads_the_weight_of_a_layer_is_refused_in_words() -> None:
    def loss(model: Any, batch: Any) -> Tensor:
        penalty: Tensor = model[0].weight.square().sum()
        return cross_entropy(model, batch) + penalty

    with pytest.raises(NotApplicable, match="besides the model's layers reads the weight"):
        train(LowRank(after=0.5).apply(wide_job(loss=loss)))


class Inner(torch.optim.Optimizer):
    """Steps by another optimizer, which has groups of its own."""

    def __init__(self, weights: Iterable[nn.Parameter]) -> None:
        own = list(weights)
        super().__init__(own, {"lr": 0.1})
        self.inner = torch.optim.SGD(own, lr=0.1)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # torch's has two forms
        self.inner.step()


def test_weights_that_an_inner_optimizer_would_go_on_with_are_refused() -> None:
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    job = linear_job(model=model, make_optimizer=lambda m: Inner(m.parameters()))
    with pytest.raises(NotApplicable, match=r"lets another one step \(Inner.inner\), whose groups"):
        train(Pruning(after=0.5).apply(job))


class Listed(nn.Module):
    """Holds its layers in a plain list, beside the names that it gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(6, 64), nn.Linear(64, 2)]
        for number, layer in enumerate(self.layers):
            self.add_module(f"fc{number}", layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def test_a_model_that_would_go_on_calling_the_layers_it_had_is_refused() -> None:
    said = r"still calls 2 of its layers \(Linear\) that others took the place of: .* plain list"
    with pytest.raises(NotApplicable, match=said):
        LowRank(after=0).apply(linear_job(model=Listed()))
    with pytest.raises(NotApplicable, match=said):
        rehearse(LowRank(after=0.5).apply(linear_job(model=Listed())))


def zeroed() -> Job:
    job = wide_job()
    nn.init.zeros_(job.model.get_submodule("2").weight)  # type: ignore[arg-type]  # of a layer
    return job


def factors_in(job: Job) -> tuple[Tensor, Tensor]:
    """Return the weights of the two layers in the place of the wide one."""
    down, up = job.model.get_submodule("2").children()
    assert isinstance(down, nn.Linear)
    assert isinstance(up, nn.Linear)
    return down.weight, up.weight


def test_factors_of_zeros_are_zeros_together_and_learn() -> None:
    job = LowRank(after=0).apply(zeroed())
    down, up = factors_in(job)
    assert not (up @ down).any()
    train(job)
    assert (up @ down).any()


def test_directions_that_a_weight_lacks_are_as_long_as_any_that_can_be_learnt() -> None:
    job = wide_job()
    layer = job.model.get_submodule("2")
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight.copy_(layer.weight[:, :1] @ layer.weight[:1])  # of rank 1
    down, up = factors_in(LowRank(after=0).apply(job))
    assert torch.allclose(down.norm(dim=1)[1:], torch.ones(15), atol=1e-4)
    assert torch.allclose(up @ down, layer.weight, atol=1e-5)


def test_a_weight_of_zeros_has_no_energy_to_keep_a_share_of() -> None:
    job = LowRank(energy=0.5, after=0).apply(zeroed())
    assert [type(job.model.get_submodule(name)) for name in "02"] == [Factors, nn.Linear]
