"""Copies of models, and layers that get their shapes from a first pass."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import BenchError, NotApplicable
from bench.model.copies import copied
from bench.model.lazy import unshaped, with_shapes
from bench.testing import Case
from bench.trial.training import train
from optimizers.ema import Ema
from optimizers.pruning import Pruning
from optimizers.quantization import Quantization
from tests.jobs import cross_entropy, linear_job

ODD_MODELS = Path(__file__).parents[1] / "odd_models.py"


class Experts(nn.Module):
    """Keeps a part of the loss, as mixtures of experts do."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.head = nn.Linear(6, 2), nn.Linear(6, 2)
        self.balance: Any = 0.0
        self.kept: dict[str, list[Any]] = {"losses": []}

    def forward(self, x: Tensor) -> Tensor:
        """Return scores."""
        shares = self.gate(x).softmax(1)
        self.balance = shares.mean(0).square().sum()
        self.kept["losses"] = [self.balance]
        found: Tensor = self.head(x) * shares
        return found


def test_results_that_a_model_keeps_are_copied_without_their_history() -> None:
    model = Experts()
    answer = model(torch.ones(2, 6))
    twin = copied(model)
    assert torch.equal(twin(torch.ones(2, 6)), answer)
    assert isinstance(twin, Experts)
    assert twin.kept["losses"][0] is twin.balance
    assert not copied(model).balance.requires_grad
    assert model.balance.requires_grad


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_layer_of_normed_weight_is_copied() -> None:
    layer = nn.utils.weight_norm(nn.Linear(6, 2))
    layer(torch.ones(2, 6))
    assert torch.equal(copied(layer)(torch.ones(2, 6)), layer(torch.ones(2, 6)))


def test_what_cant_be_copied_is_named() -> None:
    model = nn.Sequential(nn.Linear(6, 2))
    model[0].lock = threading.Lock()  # type: ignore[assignment]  # as users do
    with pytest.raises(NotApplicable, match=r"can't be copied: its 0\.lock: TypeError: cannot"):
        copied(model)
    with pytest.raises(NotApplicable, match=r"its 0\.lock"):
        Ema().apply(linear_job(model=model))


@pytest.mark.parametrize("technique", [Ema(), Quantization(mode="dynamic")])
def test_a_model_that_keeps_a_loss_trains_with_what_copies_it(technique: Any) -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        found = cross_entropy(model, batch)
        assert isinstance(model, Experts)
        balance: Tensor = model.balance
        return found + 0.01 * balance

    assert train(technique.apply(linear_job(model=Experts(), loss=loss))).evaluations


def test_lazy_layers_have_their_shapes_when_a_technique_sees_the_job() -> None:
    job = linear_job(model=nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(2)))
    before = torch.get_rng_state()
    assert unshaped(job.model) == ["0", "2"]
    assert not unshaped(with_shapes(job).model)
    assert torch.equal(torch.get_rng_state(), before)
    assert job.model.training


def test_a_lazy_layer_that_a_sample_does_not_reach_is_the_users_to_run() -> None:
    class Aux(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.aux = nn.LazyLinear(2), nn.LazyLinear(2)

        def forward(self, x: Tensor) -> Any:
            return (self.head(x), self.aux(x)) if self.training else self.head(x)

    with pytest.raises(BenchError, match="lazy layer aux has no shape yet"):
        with_shapes(linear_job(model=Aux()))


def test_a_baseline_with_lazy_layers_is_pruned() -> None:
    case = Case(f"{ODD_MODELS}:LazyNet")
    whole, pruned = (train(case.job(*names)).model for names in ((), ("pruning",)))
    sizes = [sum(p.numel() for p in model.parameters()) for model in (whole, pruned)]
    assert sizes[1] < 0.7 * sizes[0]
    made = train(case.job("quantization:mode=dynamic")).model
    assert not [*made.parameters()]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("technique", "reason"),
    [(Pruning(), "does not run with fewer"), (Quantization(mode="dynamic"), "can't convert")],
)
def test_what_cant_work_on_normed_weights_says_so_and_not_that_it_cant_copy(
    technique: Any, reason: str
) -> None:
    model = nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 32)), nn.ReLU(), nn.Linear(32, 2))
    model(torch.ones(2, 6))
    with pytest.raises(NotApplicable, match=reason):
        technique.apply(linear_job(model=model))
    assert train(Ema().apply(linear_job(model=model))).evaluations
