"""A U-Net on images with masks: cross entropy and Dice, batches of named parts, RMSprop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.baseline import Settings, Target
from bench.job import DataCard, Job, Progress


def double(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )  # fmt: skip


class UNet(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.inc, self.down = double(3, width), double(width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.conv, self.outc = double(2 * width, width), nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.inc(x)
        up = self.up(self.down(F.max_pool2d(first, 2)))
        return self.outc(self.conv(torch.cat([first, up], 1)))  # type: ignore[no-any-return]


def dice(found: Tensor, wanted: Tensor) -> Tensor:
    both, all_ = 2 * (found * wanted).sum((-1, -2)), (found + wanted).sum((-1, -2))
    return ((both + 1e-6) / (all_ + 1e-6)).mean()


def circles(count: int, seed: int, side: int = 16) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    middle = torch.rand(count, 2, generator=random) * side
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    far = (y - middle[:, :1, None]) ** 2 + (x - middle[:, 1:, None]) ** 2
    mask = (far < 25).float()
    noise = 0.3 * torch.randn(count, 3, side, side, generator=random)
    return mask[:, None].repeat(1, 3, 1, 1) + noise, mask


class SegSettings(Settings):
    epochs: int = 2
    batch_size: int = 8
    lr: float = 3e-3


class Segmentation:
    name, unit, target, settings = "unet", "images", Target("dice", bounds=(0, 1)), SegSettings

    def job(self, s: SegSettings, device: torch.device, seed: int) -> Job:
        (x, masks), (held, wanted) = circles(64, 0), circles(32, 1)
        model, draw = UNet().to(device), torch.Generator().manual_seed(seed)

        def batches(progress: Progress) -> Iterator[dict[str, Tensor]]:
            for rows in torch.split(torch.randperm(len(x), generator=draw), s.batch_size):
                yield {"image": x[rows], "mask": masks[rows]}

        def loss(m: Any, batch: Any) -> Tensor:
            found = m(batch["image"]).squeeze(1)
            sharp = F.binary_cross_entropy_with_logits(found, batch["mask"])
            return sharp + 1 - dice(torch.sigmoid(found), batch["mask"])

        @torch.no_grad()
        def evaluate(m: nn.Module) -> dict[str, float]:
            return {"dice": dice((m.eval()(held).squeeze(1) > 0).float(), wanted).item()}

        return Job(
            device=device, model=model, epochs=s.epochs, batches=batches, loss=loss, clip=1.0,
            data=DataCard.of("circles", (x, masks, held, wanted), 64, 32), evaluate=evaluate,
            make_optimizer=lambda m: torch.optim.RMSprop(m.parameters(), s.lr, momentum=0.9),
            sample=lambda n: (held[:n],),
        )  # fmt: skip
