"""Techniques keep their promises on weights, buffers and optimizers that are seldom met."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from bench.errors import NotApplicable
from bench.job import Job
from bench.trial.training import train
from optimizers.adafactor import Adafactor
from optimizers.channels_last import ChannelsLast, is_channels_last
from optimizers.early_stopping import EarlyStopping
from optimizers.ema import Ema
from optimizers.fused_optimizer import FusedOptimizer
from optimizers.low_rank import LowRank
from tests.jobs import cross_entropy, job_of

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))


def test_the_average_of_16_bit_weights_moves_by_steps_that_16_bits_do_not_hold() -> None:
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    job = Ema().apply(job_of(model, X, Y))
    optimizer = job.make_optimizer(model)
    for value in (1.0, 1.0625):
        nn.init.constant_(model.weight, value)
        for _ in range(500):
            job.update(optimizer)
    average = job.snapshot(model).get_parameter("weight")
    assert average.dtype is torch.bfloat16
    assert average.item() == pytest.approx(1.0625, abs=0.005)


def test_adafactor_goes_on_maximizing() -> None:
    def goodness(model: nn.Module, batch: Any) -> Tensor:
        return -cross_entropy(model, batch)

    job = job_of(
        net(), X, Y, epochs=10, loss=goodness,
        make_optimizer=lambda m: Adam(m.parameters(), lr=1e-2, maximize=True),
    )  # fmt: skip
    losses = train(Adafactor().apply(job)).losses
    assert losses[0] < losses[-1] < 0


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float64])
def test_factors_of_full_rank_are_the_layer_in_its_own_format(dtype: torch.dtype) -> None:
    layer = nn.Linear(16, 16, dtype=dtype)
    with torch.no_grad():  # of rank 2, so that factors of rank 4 lose nothing
        layer.weight.copy_(torch.randn(16, 2, dtype=dtype) @ torch.randn(2, 16, dtype=dtype))
    model = nn.Sequential(layer, nn.Identity())
    x = torch.randn(4, 16, dtype=dtype)
    before = model(x).detach()
    LowRank(after=0).apply(job_of(model, x, torch.zeros(4)))
    bound = 1e-4 if dtype is torch.complex64 else 1e-12
    assert float((model(x).detach() - before).abs().max()) < bound * float(before.abs().max())


def test_2d_layers_beside_3d_ones_are_laid_out() -> None:
    flat, deep = nn.Conv2d(2, 2, 3), nn.Conv3d(2, 2, 1)
    ChannelsLast().apply(job_of(nn.Sequential(deep, flat), X, Y))
    assert is_channels_last(flat.weight)
    assert deep.weight.is_contiguous()


class Counted(nn.Module):
    """Answers by its weights, and counts its training steps, which no state dict holds."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 2)
        self.register_buffer("count", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.count += int(self.training)
        found: Tensor = self.layer(x)
        return found


def test_buffers_that_no_state_dict_holds_come_back_with_the_best_weights() -> None:
    validated = iter([1.0, 0.5, 0.9, 0.9])
    job = job_of(Counted(), X, Y, epochs=4, validate=lambda model: next(validated))
    deployed = train(EarlyStopping(every=1).apply(job)).model
    assert deployed.get_buffer("count") == 8  # four steps an epoch, two epochs


class Sliced(nn.Module):
    """Trains every other column of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4)[:, ::2])

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


def test_a_fused_form_of_weights_with_gaps_is_refused() -> None:
    def job() -> Job:
        return job_of(Sliced(), X, Y, make_optimizer=lambda m: Adam(m.parameters()))

    with pytest.raises(NotApplicable, match=r"a weight \(6, 2\) is a part of a larger tensor"):
        FusedOptimizer().apply(job())
    FusedOptimizer(form="foreach").apply(job())
