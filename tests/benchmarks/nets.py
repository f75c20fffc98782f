"""Baselines of real size for benchmarks: a residual net, a deep and a wide one, on chest X-rays.

``bench --baseline tests/benchmarks/nets.py:ResNet ...``. The data is `shared/data/xray/pneumonia`
beside the checkout: NORMAL or PNEUMONIA, in grey, made small; read from the JPEG files once and
kept in the temporary folder.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from bench.baseline import Settings, Target
from bench.errors import BenchError
from bench.job import DataCard, Job, Progress
from bench.targets import Targets

XRAYS = Path(__file__).resolve().parents[3] / "shared" / "data" / "xray" / "pneumonia"
CLASSES = ("NORMAL", "PNEUMONIA")


class NetSettings(Settings):
    """What can be changed."""

    data_dir: Path = Field(XRAYS, description="folder with train/ and test/, a folder a class")
    pixels: int = Field(32, ge=16, description="side of an image")
    train_items: int = Field(1200, ge=64, description="images of the training part that are used")
    epochs: int = Field(4, ge=1)
    batch_size: int = Field(32, ge=1)
    lr: float = Field(0.02, gt=0, description="highest learning rate, reached in one cycle")
    width: int = Field(32, ge=1, description="channels of the first stage")
    blocks: int = Field(2, ge=1, description="residual blocks a stage")


class Block(nn.Module):
    """Two convolutions with batch norm and a shortcut, as in ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def residual_net(width: int, blocks: int) -> nn.Module:
    """Return a net of four stages for images ``(B, 1, H, W)`` and two classes."""
    stem = [nn.Conv2d(1, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    stages: list[nn.Module] = []
    inputs = width
    for number in range(4):
        outputs = width * 2**number
        for index in range(blocks):
            stride = 2 if number and not index else 1
            stages.append(Block(inputs, outputs, stride))
            inputs = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, len(CLASSES))]
    return nn.Sequential(*stem, nn.Sequential(*stages), *head)


class ResNet:
    """ResNet-18's shape (at width 64), a quarter of its arithmetic by default."""

    name = "resnet"
    unit = "images"
    target = Target("accuracy")
    settings: ClassVar[type[NetSettings]] = NetSettings
    preload: ClassVar[tuple[str, ...]] = ("numpy",)

    def model(self, settings: NetSettings) -> nn.Module:
        """Return a fresh net."""
        return residual_net(settings.width, settings.blocks)

    def optimizer(self, model: nn.Module, settings: NetSettings) -> torch.optim.Optimizer:
        """Return what trains it."""
        return torch.optim.SGD(model.parameters(), settings.lr, momentum=0.9, weight_decay=5e-4)

    def job(self, settings: NetSettings, device: torch.device, seed: int) -> Job:
        """Build a fresh job."""
        train = _images(settings, "train", seed=0)
        test = _images(settings, "test", seed=0)
        x, y = (part.to(device) for part in train)
        model = self.model(settings).to(device)
        shuffle = torch.Generator().manual_seed(seed)
        steps = settings.epochs * -(-len(x) // settings.batch_size)

        def batches(progress: Progress) -> Iterator[tuple[Tensor, Tensor]]:
            order = torch.randperm(len(x), generator=shuffle).to(device)
            for part in torch.split(order, settings.batch_size):
                yield x[part], y[part]

        def item_losses(model: nn.Module, batch: Any) -> Tensor:
            return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

        def schedule(optimizer: torch.optim.Optimizer, progress: Progress) -> None:
            done = progress.step / steps
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * min(1.0, 5 * done + 0.2, 1.25 * (1 - done))

        @torch.no_grad()
        def evaluate(model: nn.Module) -> dict[str, float]:
            model.eval()
            right = [
                (model(images.to(device)).argmax(1).cpu() == labels).sum()
                for images, labels in zip(*(torch.split(t, 64) for t in test), strict=True)
            ]
            return {"accuracy": int(torch.stack(right).sum()) / len(test[0])}

        return Job(
            device=device, model=model, epochs=settings.epochs, batches=batches,
            loss=lambda model, batch: item_losses(model, batch).mean(), item_losses=item_losses,
            targets=Targets(classes=len(CLASSES)),
            make_optimizer=lambda m: self.optimizer(m, settings),
            schedule=schedule, evaluate=evaluate, sample=lambda n: (test[0][:n].to(device),),
            data=DataCard.of("pneumonia", (*train, *test), len(train[0]), len(test[0])),
        )  # fmt: skip


class DeepNet(ResNet):
    """The same with many thin blocks, whose activations fill the memory."""

    name = "deep-net"

    class DeepSettings(NetSettings):
        """What can be changed."""

        train_items: int = Field(512, ge=64)
        epochs: int = Field(1, ge=1)
        batch_size: int = Field(128, ge=1)
        width: int = Field(16, ge=1)
        blocks: int = Field(12, ge=1)

    settings = DeepSettings


class WideNet(ResNet):
    """Three linear layers, 12.6 M weights by default, trained by Adam: little work for a weight."""

    name = "wide-net"

    class WideSettings(NetSettings):
        """What can be changed."""

        epochs: int = Field(2, ge=1)
        batch_size: int = Field(16, ge=1)
        lr: float = Field(2e-4, gt=0)
        width: int = Field(3072, ge=1, description="units of both hidden layers")

    settings = WideSettings

    def model(self, settings: NetSettings) -> nn.Module:
        """Return a fresh net."""
        width = settings.width
        first = nn.Linear(settings.pixels**2, width)
        middle, last = nn.Linear(width, width), nn.Linear(width, len(CLASSES))
        return nn.Sequential(nn.Flatten(), first, nn.ReLU(), middle, nn.ReLU(), last)

    def optimizer(self, model: nn.Module, settings: NetSettings) -> torch.optim.Optimizer:
        """Return what trains it."""
        return torch.optim.Adam(model.parameters(), settings.lr)


def _images(settings: NetSettings, part: str, seed: int) -> tuple[Tensor, Tensor]:
    """Return images ``(N, 1, pixels, pixels)`` and labels, shuffled, as many as are asked for."""
    files, labels = _files(settings.data_dir / part)
    order = np.random.default_rng(seed).permutation(len(files))
    order = order[: settings.train_items] if part == "train" else order
    chosen = [files[index] for index in order]
    pixels = torch.from_numpy(_decoded(chosen, settings.pixels))
    x = pixels.float().unsqueeze(1) / 255
    return (x - x.mean()) / x.std(), torch.tensor([labels[index] for index in order])


def _files(folder: Path) -> tuple[list[Path], list[int]]:
    found = [
        (file, label)
        for label, name in enumerate(CLASSES)
        for file in sorted((folder / name).glob("*.jpeg"))
    ]
    if not found:
        raise BenchError(f"no images in {folder}; give the folder with --data-dir")
    return [file for file, _ in found], [label for _, label in found]


def _decoded(files: list[Path], pixels: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return grey images ``(N, pixels, pixels)``, from a cache where it has them."""
    from PIL import Image

    key = hashlib.sha256(f"{pixels} {[str(file) for file in files]}".encode()).hexdigest()[:16]
    cache = Path(tempfile.gettempdir()) / f"bench-nets-{key}.npy"
    if cache.exists():
        return np.asarray(np.load(cache))
    images = [Image.open(file).convert("L").resize((pixels, pixels)) for file in files]
    array = np.stack([np.asarray(image, dtype=np.uint8) for image in images])
    temporary = cache.with_suffix(".tmp.npy")
    np.save(temporary, array)
    temporary.replace(cache)
    return array
