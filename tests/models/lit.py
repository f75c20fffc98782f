"""A module in the style of Lightning, and the thin adapter that makes a baseline of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from bench.baseline import Settings, Target
from bench.data.reloading import reloaded
from bench.job import DataCard, Job


class LitClassifier(nn.Module):
    """What a user has: the loss is a method, and optimizers come with their scheduler."""

    def __init__(self, hidden: int = 32, lr: float = 0.05) -> None:
        super().__init__()
        self.lr = lr
        self.net = nn.Sequential(nn.Linear(12, hidden), nn.ReLU(), nn.Linear(hidden, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        x, y = batch
        return {"loss": F.cross_entropy(self(x), y)}

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), self.lr, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]


def data(count: int, seed: int) -> TensorDataset:
    x = torch.randn(count, 12, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(x, x[:, :3].argmax(1))


class LitSettings(Settings):
    epochs: int = 3
    batch_size: int = 16


class Lightning:
    name, unit, settings = "lightning", "items", LitSettings
    target = Target("accuracy", bounds=(0, 1))

    def job(self, s: LitSettings, device: torch.device, seed: int) -> Job:
        train, test = data(192, 0), data(96, 1)
        model, (x, y) = LitClassifier().to(device), test.tensors
        random = torch.Generator().manual_seed(seed)
        loader = reloaded(DataLoader(train, s.batch_size, shuffle=True), random)

        @torch.no_grad()
        def evaluate(m: nn.Module) -> dict[str, float]:
            return {"accuracy": (m.eval()(x).argmax(1) == y).float().mean().item()}

        def training_step(m: Any, batch: Any) -> Tensor:
            return m.training_step(batch, 0)["loss"]  # type: ignore[no-any-return]

        def make_optimizer(m: Any) -> torch.optim.Optimizer:
            return m.configure_optimizers()[0][0]  # type: ignore[no-any-return]

        return Job(
            device=device, model=model, epochs=s.epochs, batches=lambda progress: loader,
            data=DataCard.of("argmax", (*train.tensors, x, y), 192, 96), evaluate=evaluate,
            make_optimizer=make_optimizer, loss=training_step,
            make_scheduler=lambda o, p: torch.optim.lr_scheduler.StepLR(o, 1, 0.5),
            scheduler_steps="epoch", sample=lambda n: (x[:n],),
        )  # fmt: skip
