"""Evaluation mode for a while: each part gets its own mode back."""

from __future__ import annotations

import pytest
from torch import nn

from bench.model.train_mode import evaluating


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
