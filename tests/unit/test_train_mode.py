"""Evaluation mode for a while: each part gets its own mode back."""

from __future__ import annotations

from typing import Self

import pytest
import torch
from torch import Tensor, nn

from bench.model.train_mode import evaluating
from bench.model.untouched import untouched


def partly_frozen() -> nn.Sequential:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout()).train()
    model[0].eval()
    return model


def test_each_part_gets_its_own_mode_back() -> None:
    model = partly_frozen()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, False, True]


def test_modes_come_back_after_a_failure_too() -> None:
    model = partly_frozen()
    with pytest.raises(ValueError, match="inside"), evaluating(model):
        raise ValueError("inside")
    assert [module.training for module in model.modules()] == [True, False, True]


class Merging(nn.Module):
    """A layer of low rank beside a frozen one, merged into it for evaluation, as loralib's."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3), requires_grad=False)
        self.down, self.up = nn.Parameter(torch.randn(1, 3)), nn.Parameter(torch.randn(3, 1))
        self.merged = False

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.merged == mode:
            self.weight.data += (-1 if mode else 1) * (self.up @ self.down).data
            self.merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        found = x @ self.weight.T
        return found if self.merged else found + x @ (self.up @ self.down).T


def test_layers_that_merge_for_evaluation_are_parted_again() -> None:
    layer, x = Merging(), torch.randn(2, 3)
    model = nn.Sequential(layer, nn.Dropout(0.0))
    wanted = model(x)
    with evaluating(model):
        assert layer.merged
    assert not layer.merged
    assert torch.allclose(model(x), wanted, atol=1e-5)
    model(x).sum().backward()
    assert layer.up.grad is not None


def test_weights_that_change_unseen_are_put_back_to_the_bit() -> None:
    layer = Merging()
    model, before = nn.Sequential(layer), layer.weight.detach().clone()
    with untouched(model), evaluating(model):
        model(torch.randn(2, 3))
    assert torch.equal(layer.weight, before)
    with untouched(model):
        layer.weight.data += 1
    assert torch.equal(layer.weight, before)


def test_a_frozen_module_in_two_places_stays_frozen() -> None:
    shared = nn.BatchNorm1d(3)
    model = nn.Sequential(nn.Sequential(shared), nn.Sequential(nn.Dropout(), shared)).train()
    shared.eval()
    model[0].eval()
    before = [module.training for module in model.modules()]
    with evaluating(model):
        pass
    assert [module.training for module in model.modules()] == before
