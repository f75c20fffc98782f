"""A baseline that trains in a blink, or as slowly as a test needs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress


class TinySettings(Settings):
    epochs: int = Field(4, ge=1)
    batch_size: int = Field(16, ge=1)
    pause: float = Field(0.0, ge=0, description="seconds that every step sleeps")


class Tiny:
    name = "tiny"
    unit = "points"
    target = Target("accuracy", bounds=(0, 1))
    settings = TinySettings

    def job(self, settings: TinySettings, device: torch.device, seed: int) -> Job:
        x = torch.randn(256, 8, generator=torch.Generator().manual_seed(0)).to(device)
        y = (x.sum(1) > 0).long()
        model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2)).to(device)
        shuffle = torch.Generator().manual_seed(seed)

        def batches(progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
            order = torch.randperm(192, generator=shuffle)
            for start in range(0, 192, settings.batch_size):
                part = order[start : start + settings.batch_size]
                time.sleep(settings.pause)
                yield x[part.to(device)], y[part.to(device)]

        def loss(model: nn.Module, batch: Any) -> Tensor:
            return nn.functional.cross_entropy(model(batch[0]), batch[1])

        def accuracy(model: nn.Module) -> dict[str, float]:
            with torch.no_grad():
                return {"accuracy": (model(x[192:]).argmax(1) == y[192:]).float().mean().item()}

        return Job(
            device=device,
            model=model,
            epochs=settings.epochs,
            data=DataCard.of("points", (x, y), train_items=192, test_items=64),
            batches=batches,
            make_optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
            loss=loss,
            evaluate=accuracy,
            sample=lambda n: (x[:n],),
        )
