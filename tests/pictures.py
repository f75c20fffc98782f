"""A baseline of tiny images with something for every technique: convolution, attention, classes,
an encoder that may be frozen, sizes that may be scaled, items that may be made when needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.baseline import Settings, Target
from bench.data.sampling import shuffled
from bench.job import DataCard, FixedItems, Job, Progress
from bench.model.freezing import freeze
from bench.targets import Targets

ITEMS = 32
SIDE = 8
CLASSES = 3


class PictureSettings(Settings):
    """Settings of `Pictures`."""

    epochs: int = Field(4, ge=1)
    batch_size: int = Field(8, ge=1)
    lr: float = Field(0.01, gt=0)
    side: int = Field(SIDE, ge=4, json_schema_extra={"scales": "input"})
    channels: int = Field(8, ge=1, json_schema_extra={"scales": "width"})
    network: Literal["attentive", "plain"] = Field(
        "attentive", json_schema_extra={"lighter": {"attentive": {"network": "plain"}}}
    )
    augmentation: Literal["noise", "none"] = Field("none", json_schema_extra={"minimal": "none"})
    loading: Literal["eager", "lazy"] = "eager"
    frozen: bool = False


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
    """An encoder (a stem, two blocks), attention over what is left of it, a classifier."""

    def __init__(self, channels: int = 8, attentive: bool = True) -> None:
        super().__init__()
        stem = nn.Conv2d(1, channels, 3, padding=1)
        self.encoder = nn.Sequential(stem, Block(channels), Block(channels))
        self.attention = Attention(channels) if attentive else nn.Identity()
        self.head = nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, 1, H, W)`` to logits ``(B, CLASSES)``."""
        h = nn.functional.max_pool2d(self.encoder(x), 2)
        h = self.attention(h.flatten(2).transpose(1, 2)).mean(1)
        found: Tensor = self.head(h)
        return found


def pictures(side: int = SIDE) -> tuple[Tensor, Tensor]:
    """Return images whose brightest third of rows is their class: ``(B, 1, H, W)`` and ``(B,)``."""
    y = torch.arange(ITEMS) % CLASSES
    y[::9] = 0  # the first class has more
    x = torch.randn(ITEMS, 1, side, side, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(side) * CLASSES // side
    return x + 2 * (rows == y[:, None])[:, None, :, None], y


def item_losses(model: nn.Module, batch: Any) -> Tensor:
    """Return the loss of each image."""
    answers: Tensor = model(batch[0])
    return nn.functional.cross_entropy(answers, batch[1], reduction="none")


class Pictures:
    """The baseline."""

    name = "pictures"
    unit = "images"
    target = Target("accuracy")
    settings = PictureSettings

    def job(self, settings: PictureSettings, device: torch.device, seed: int) -> Job:
        """Build a fresh job."""
        x, y = pictures(settings.side)
        noise = torch.Generator().manual_seed(seed)

        def take(rows: Tensor) -> tuple[Tensor, Tensor]:
            made = pictures(settings.side)[0] if settings.loading == "lazy" else x
            return made[rows], y[rows]

        items = FixedItems(ITEMS, shuffled(ITEMS, settings.batch_size, seed), take, labels=y)

        def noisy(progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
            for images, classes in items.batches(progress):
                yield images + 0.1 * torch.randn(images.shape, generator=noise), classes

        @torch.no_grad()
        def validate(model: nn.Module) -> float:
            return item_losses(model.eval(), (x, y)).mean().item()

        @torch.no_grad()
        def accuracy(model: nn.Module) -> dict[str, float]:
            return {"accuracy": (model.eval()(x).argmax(1) == y).float().mean().item()}

        plain = settings.augmentation == "none"
        model = Net(settings.channels, settings.network == "attentive")
        if settings.frozen:
            freeze(model.encoder)
        return Job(
            device=device, model=model, epochs=settings.epochs, encoder="encoder",
            batches=items.batches if plain else noisy, fixed=items if plain else None,
            loss=lambda model, batch: item_losses(model, batch).mean(), item_losses=item_losses,
            targets=Targets(classes=CLASSES), validate=validate, evaluate=accuracy,
            make_optimizer=lambda model: torch.optim.Adam(
                [p for p in model.parameters() if p.requires_grad], lr=settings.lr
            ),
            sample=lambda n: (x[torch.arange(n) % ITEMS],),
            data=DataCard.of("pictures", (x, y), train_items=ITEMS, test_items=ITEMS),
        )  # fmt: skip
