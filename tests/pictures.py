"""A baseline of tiny images with something for every technique: convolution, attention, classes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress
from bench.targets import Targets

ITEMS = 32
SIDE = 8
CLASSES = 3


class PictureSettings(Settings):
    """Settings of `Pictures`."""

    epochs: int = Field(4, ge=1)
    batch_size: int = Field(8, ge=1)
    lr: float = Field(0.01, gt=0)


class Attention(nn.Module):
    """Attention over positions, written by hand: ``(B, T, C)`` to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Mix positions by how alike they are."""
        scores = self.query(x) @ self.key(x).transpose(1, 2) / x.shape[2] ** 0.5
        mixed: Tensor = torch.softmax(scores, dim=-1) @ self.value(x)
        return x + mixed


class Block(nn.Module):
    """A convolution with batch norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape."""
        return x + torch.relu(self.norm(self.conv(x)))


class Net(nn.Module):
    """A stem, two blocks, attention over what is left, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.attention = Attention(8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, 1, H, W)`` to logits ``(B, CLASSES)``."""
        h = nn.functional.max_pool2d(self.blocks(self.stem(x)), 2)
        h = self.attention(h.flatten(2).transpose(1, 2)).mean(1)
        found: Tensor = self.head(h)
        return found


def pictures() -> tuple[Tensor, Tensor]:
    """Return images whose brightest third of rows is their class: ``(B, 1, H, W)`` and ``(B,)``."""
    y = torch.arange(ITEMS) % CLASSES
    x = torch.randn(ITEMS, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(SIDE) * CLASSES // SIDE
    return x + 2 * (rows == y[:, None])[:, None, :, None], y


class Pictures:
    """The baseline."""

    name = "pictures"
    unit = "images"
    target = Target("accuracy")
    settings = PictureSettings

    def job(self, settings: PictureSettings, device: torch.device, seed: int) -> Job:
        """Build a fresh job."""
        x, y = pictures()
        shuffle = torch.Generator().manual_seed(seed)

        def batches(progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
            for part in torch.split(torch.randperm(ITEMS, generator=shuffle), settings.batch_size):
                yield x[part], y[part]

        def item_losses(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
            return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

        @torch.no_grad()
        def validate(model: nn.Module) -> float:
            return item_losses(model.eval(), (x, y)).mean().item()

        @torch.no_grad()
        def accuracy(model: nn.Module) -> dict[str, float]:
            return {"accuracy": (model.eval()(x).argmax(1) == y).float().mean().item()}

        return Job(
            device=device, model=Net(), epochs=settings.epochs, batches=batches,
            loss=lambda model, batch: item_losses(model, batch).mean(), item_losses=item_losses,
            targets=Targets(classes=CLASSES), validate=validate, evaluate=accuracy,
            make_optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=settings.lr),
            sample=lambda n: (x[torch.arange(n) % ITEMS],),
            data=DataCard.of("pictures", (x, y), train_items=ITEMS, test_items=ITEMS),
        )  # fmt: skip
