"""A frozen body with low-rank adapters that train: only these go to the optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress


class LoRALinear(nn.Module):
    def __init__(self, inside: int, outside: int, rank: int = 2) -> None:
        super().__init__()
        self.linear = nn.Linear(inside, outside).requires_grad_(False)
        self.lora_a = nn.Parameter(torch.randn(rank, inside) / inside**0.5)
        self.lora_b = nn.Parameter(torch.zeros(outside, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + x @ self.lora_a.T @ self.lora_b.T  # type: ignore[no-any-return]


class Adapted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(LoRALinear(16, 32), nn.ReLU(), LoRALinear(32, 32), nn.ReLU())
        self.head = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))  # type: ignore[no-any-return]


class LoraSettings(Settings):
    epochs: int = 2
    batch_size: int = 16
    lr: float = 1e-2


class Lora:
    name, unit, settings = "lora", "items", LoraSettings
    target = Target("accuracy", bounds=(0, 1))

    def job(self, s: LoraSettings, device: torch.device, seed: int) -> Job:
        x = torch.randn(256, 16, generator=torch.Generator().manual_seed(0))
        y = (x.square().sum(1) > 16).long()
        model, draw = Adapted().to(device), torch.Generator().manual_seed(seed)

        def batches(progress: Progress) -> Iterator[Any]:
            for rows in torch.split(torch.randperm(192, generator=draw), s.batch_size):
                yield x[rows], y[rows]

        @torch.no_grad()
        def evaluate(m: nn.Module) -> dict[str, float]:
            return {"accuracy": (m.eval()(x[192:]).argmax(1) == y[192:]).float().mean().item()}

        return Job(
            device=device, model=model, epochs=s.epochs, batches=batches, evaluate=evaluate,
            data=DataCard.of("ball", (x, y), 192, 64),
            loss=lambda m, b: F.cross_entropy(m(b[0]), b[1]),
            make_optimizer=lambda m: torch.optim.AdamW(
                [p for p in m.parameters() if p.requires_grad], lr=s.lr
            ),
            sample=lambda n: (x[:n],),
        )  # fmt: skip
