"""A model and two DataLoaders are enough: bench --baseline loaders.py:Borders --test ema."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from bench import from_loaders

POINTS = torch.randn(4096, 20, generator=torch.Generator().manual_seed(1))
LABELS = (POINTS.square().sum(1) > 20).long()


def network() -> nn.Module:
    """Return a fresh network: each seed has its own."""
    return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 2))


def accuracy(answers: Tensor, labels: Tensor) -> Tensor:
    """Return which answers are right: their share is the accuracy."""
    return answers.argmax(1) == labels


Borders = from_loaders(
    model=network,
    train=DataLoader(TensorDataset(POINTS[:3072], LABELS[:3072]), 64, shuffle=True),
    test=DataLoader(TensorDataset(POINTS[3072:], LABELS[3072:]), 256),
    loss=nn.functional.cross_entropy,
    optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=3e-3),
    metrics={"accuracy": accuracy},
)
