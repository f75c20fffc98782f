"""Small jobs for tests: trained in milliseconds, the same from the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress
from bench.targets import Targets

ITEMS = 32


class Labelled(NamedTuple):
    """A batch."""

    x: Tensor
    y: Tensor


def cross_entropy(model: nn.Module, batch: Any) -> Tensor:
    """Return the mean loss over independent items."""
    found: Tensor = model(batch[0])
    return nn.functional.cross_entropy(found, batch[1])


def item_losses(model: nn.Module, batch: Any) -> Tensor:
    """Return the loss of each item."""
    found: Tensor = model(batch[0])
    return nn.functional.cross_entropy(found, batch[1], reduction="none")


def job_of(
    model: nn.Module, x: Tensor, y: Tensor, seed: int = 0, size: int = 8, **parts: Any
) -> Job:
    """Return a job that trains `model` in shuffled batches of `size`; `parts` replace its own."""
    shuffle = torch.Generator().manual_seed(seed)

    def batches(progress: Progress) -> Iterator[Labelled]:
        for part in torch.split(torch.randperm(len(x), generator=shuffle), size):
            yield Labelled(x[part], y[part])

    def accuracy(model: nn.Module) -> dict[str, float]:
        model.eval()
        with torch.no_grad():
            return {"accuracy": (model(x).argmax(1) == y).float().mean().item()}

    def validate(model: nn.Module) -> float:
        model.eval()
        with torch.no_grad():
            return cross_entropy(model, (x, y)).item()

    made: dict[str, Any] = {
        "device": torch.device("cpu"), "model": model, "epochs": 3, "batches": batches,
        "data": DataCard.of("small", (x, y), train_items=len(x), test_items=len(x)),
        "make_optimizer": lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9),
        "loss": cross_entropy, "evaluate": accuracy, "validate": validate,
        "sample": lambda n: (x[:1].repeat(n, *[1] * (x.dim() - 1)),),
    }  # fmt: skip
    return Job(**{**made, **parts})


def linear_job(seed: int = 0, **parts: Any) -> Job:
    """Return the job of a linear classifier of 32 points."""
    torch.manual_seed(seed)
    x = torch.randn(ITEMS, 6, generator=torch.Generator().manual_seed(0))
    model = parts.pop("model", None) or nn.Linear(6, 2)
    return job_of(model, x, (x.sum(1) > 0).long(), seed, **parts)


class Block(nn.Module):
    """A convolution with batch norm and dropout, which draws random numbers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm1d(channels)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, T)`` to the same shape."""
        found: Tensor = self.drop(torch.relu(self.norm(self.conv(x))))
        return found + x


class ConvSettings(Settings):
    """Settings of `ConvNet`."""

    epochs: int = Field(5, ge=1)
    batch_size: int = Field(8, ge=1)
    lr: float = Field(0.05, gt=0)


class ConvNet:
    """A baseline: a small convolutional net with batch norm, in repeated blocks."""

    name = "conv-net"
    unit = "series"
    target = Target("accuracy")
    settings = ConvSettings

    def job(self, settings: ConvSettings, device: torch.device, seed: int) -> Job:
        """Build a fresh job."""
        x = torch.randn(ITEMS, 4, 20, generator=torch.Generator().manual_seed(0))
        model = nn.Sequential(
            nn.Conv1d(4, 8, 1), nn.Sequential(*(Block(8) for _ in range(3))),
            nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 2),
        )  # fmt: skip
        y = (x.mean((1, 2)) > 0).long()
        told: dict[str, Any] = {"item_losses": item_losses, "targets": Targets(classes=2)}
        return job_of(model, x, y, seed, settings.batch_size, epochs=settings.epochs, **told)
