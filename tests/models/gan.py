"""A GAN: two nets, two losses, two optimizers, which take turns without a step of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress
from bench.turns import in_turns


class Nets(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
        self.critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))

    def forward(self, noise: Tensor) -> Tensor:
        return self.generator(noise)  # type: ignore[no-any-return]


def judged(m: Any, points: Tensor, real: float) -> Tensor:
    scores = m.critic(points)
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, real))


def critic_loss(m: Any, real: Tensor) -> Tensor:
    with torch.no_grad():
        fake = m(torch.randn(len(real), 4))
    return judged(m, real, 1.0) + judged(m, fake, 0.0)


def generator_loss(m: Any, real: Tensor) -> Tensor:
    return judged(m, m(torch.randn(len(real), 4)), 1.0)


class GanSettings(Settings):
    epochs: int = 3
    batch_size: int = 32
    lr: float = 5e-3


class Gan:
    name, unit, target, settings = "gan", "points", Target("neg_distance"), GanSettings

    def job(self, s: GanSettings, device: torch.device, seed: int) -> Job:
        points = torch.randn(256, 2, generator=torch.Generator().manual_seed(0)) * 0.3 + 2
        model, draw = Nets().to(device), torch.Generator().manual_seed(seed)
        asked = torch.randn(200, 4, generator=torch.Generator().manual_seed(1))

        def batches(progress: Progress) -> Iterator[Tensor]:
            rows = torch.split(torch.randperm(len(points), generator=draw), s.batch_size)
            return (points[part] for part in rows)

        @torch.no_grad()
        def evaluate(m: nn.Module) -> dict[str, float]:
            return {"neg_distance": -(m.eval()(asked).mean(0) - points.mean(0)).norm().item()}

        def adam(part: Any) -> torch.optim.Optimizer:
            return torch.optim.Adam(part.parameters(), s.lr)

        turns = in_turns(
            losses={"critic": critic_loss, "generator": generator_loss},
            optimizers={
                "critic": lambda m: adam(m.critic),
                "generator": lambda m: adam(m.generator),
            },
        )
        return Job(
            device=device, model=model, epochs=s.epochs, batches=batches, evaluate=evaluate,
            data=DataCard.of("points", (points,), 256, 200), sample=lambda n: (asked[:n],), **turns,
        )  # fmt: skip
