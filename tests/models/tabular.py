"""A regression on tables, from a model and two loaders, judged by its root mean squared error."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

from bench import from_loaders


class Tabular(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embeds = nn.ModuleList(nn.Embedding(count, 4) for count in (5, 12))
        self.bn = nn.BatchNorm1d(6)
        self.layers = nn.Sequential(
            nn.Linear(14, 32), nn.ReLU(), nn.BatchNorm1d(32), nn.Dropout(0.1), nn.Linear(32, 1)
        )

    def forward(self, categories: Tensor, numbers: Tensor) -> Tensor:
        parts = [embed(categories[:, at]) for at, embed in enumerate(self.embeds)]
        return self.layers(torch.cat([*parts, self.bn(numbers)], 1)).squeeze(1)  # type: ignore[no-any-return]


random = torch.Generator().manual_seed(0)
categories = torch.stack([torch.randint(n, (320,), generator=random) for n in (5, 12)], 1)
numbers = torch.randn(320, 6, generator=random)
prices = numbers[:, 0] + 0.4 * numbers[:, 1] * (categories[:, 0] - 2) + 0.06 * categories[:, 1]
train, test = random_split(TensorDataset(categories, numbers, prices), [256, 64], random)

Houses = from_loaders(
    model=Tabular,
    train=DataLoader(train, 32, shuffle=True),
    test=DataLoader(test, 64),
    loss=F.mse_loss,
    optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9),
    metrics={"neg_rmse": lambda found, wanted: -F.mse_loss(found, wanted).sqrt()},
    epochs=3, name="tabular", unit="houses",
)  # fmt: skip
