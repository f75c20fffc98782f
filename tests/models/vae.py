"""A VAE as in PyTorch's examples: a loss summed over the batch, and an answer of three parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress


class VAE(nn.Module):
    def __init__(self, hidden: int = 32, codes: int = 4) -> None:
        super().__init__()
        self.fc1, self.fc21, self.fc22 = (
            nn.Linear(64, hidden), nn.Linear(hidden, codes), nn.Linear(hidden, codes),
        )  # fmt: skip
        self.fc3, self.fc4 = nn.Linear(codes, hidden), nn.Linear(hidden, 64)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = F.relu(self.fc1(x.view(-1, 64)))
        mu, logvar = self.fc21(h), self.fc22(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar


def elbo_loss(m: Any, x: Tensor) -> Tensor:
    found, mu, logvar = m(x)
    sharp = F.binary_cross_entropy(found, x.view(-1, 64), reduction="sum")
    return sharp - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


class VaeSettings(Settings):
    epochs: int = 2
    batch_size: int = 32
    lr: float = 3e-3


class Autoencoder:
    name, unit, target, settings = "vae", "images", Target("neg_loss"), VaeSettings

    def job(self, s: VaeSettings, device: torch.device, seed: int) -> Job:
        random = torch.Generator().manual_seed(0)
        codes = torch.randn(320, 4, generator=random)
        x = torch.sigmoid(codes @ torch.randn(4, 64, generator=random)).view(-1, 1, 8, 8)
        train, test = x[:256].to(device), x[256:].to(device)
        model, draw = VAE().to(device), torch.Generator().manual_seed(seed)

        def batches(progress: Progress) -> Iterator[Tensor]:
            rows = torch.split(torch.randperm(256, generator=draw), s.batch_size)
            return (train[part] for part in rows)

        @torch.no_grad()
        def evaluate(m: nn.Module) -> dict[str, float]:
            torch.manual_seed(3)
            return {"neg_loss": -elbo_loss(m.eval(), test).item() / len(test)}

        return Job(
            device=device, model=model, epochs=s.epochs, batches=batches, evaluate=evaluate,
            data=DataCard.of("blobs", (x,), 256, 64), loss=elbo_loss,
            make_optimizer=lambda m: torch.optim.Adam(m.parameters(), s.lr),
            sample=lambda n: (test[:n],),
        )  # fmt: skip
