"""A model that `bench_ab_real` commits in several states: features that are dear, one cheap layer.

Nearly all of a step is the mixing of its features, `ROUNDS` products of matrices one like the
other, so that `WASTED` more, of which nothing is used, make a training longer by WASTED / ROUNDS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress

ROUNDS, WASTED = 40, 0
ITEMS, TEST, WIDE, BATCH = 8192, 512, 256, 256


class NetSettings(Settings):
    """What can be changed."""

    epochs: int = Field(1, ge=1)
    steps: int = Field(12, ge=1, description="updates of an epoch")
    rate: float = Field(0.5, ge=0, description="learning rate")


def features(x: Tensor, mixer: Tensor) -> Tensor:
    """Mix the columns of ``(B, WIDE)``."""
    for _ in range(WASTED):
        x @ mixer
    for _ in range(ROUNDS):
        x = x @ mixer
    return x


class Net:
    """The baseline."""

    name = "net"
    unit = "points"
    target = Target("accuracy", bounds=(0, 1))
    settings = NetSettings

    def job(self, settings: NetSettings, device: torch.device, seed: int) -> Job:
        """Tell on which side of a plane points lie."""
        fixed = torch.Generator().manual_seed(0)
        x = torch.randn(ITEMS, WIDE, generator=fixed).to(device)
        y = (x @ torch.randn(WIDE, generator=fixed).to(device) > 0).long()
        mixer = torch.linalg.qr(torch.randn(WIDE, WIDE, generator=fixed))[0].to(device)
        shuffle = torch.Generator().manual_seed(seed)

        def batches(progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
            order = torch.randperm(ITEMS - TEST, generator=shuffle).to(device)
            for part in torch.split(order[: settings.steps * BATCH], BATCH):
                yield features(x[part], mixer), y[part]

        def loss(model: nn.Module, batch: Any) -> Tensor:
            return nn.functional.cross_entropy(model(batch[0]), batch[1])

        def accuracy(model: nn.Module) -> dict[str, float]:
            with torch.no_grad():
                right = model(features(x[-TEST:], mixer)).argmax(1) == y[-TEST:]
            return {"accuracy": right.float().mean().item()}

        return Job(
            device=device, model=nn.Linear(WIDE, 2).to(device), epochs=settings.epochs,
            data=DataCard.of("points", (x, y), train_items=ITEMS - TEST, test_items=TEST),
            batches=batches, loss=loss, evaluate=accuracy, sample=lambda n: (x[:n],),
            make_optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=settings.rate),
        )  # fmt: skip
