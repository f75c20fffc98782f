"""ResNet18 and 34, EfficientNet-B0 and B2, in pictures of one channel or more, of any width."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

BASIC = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
"""Blocks of each of ResNet's layers."""
INVERTED = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3),
            (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3))  # fmt: skip
"""EfficientNet-B0's stages: expansion, channels, blocks, stride of the first, kernel."""
COMPOUND = {"efficientnet-b0": (1.0, 1.0), "efficientnet-b2": (1.1, 1.2)}
"""By what channels and blocks are multiplied."""
STEM, LAST, DROP = 32, 1280, 0.2


class Backbone(NamedTuple):
    """A network from pictures ``(B, C, H, W)`` to features ``(B, features)``."""

    network: nn.Sequential
    features: int


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.downsample(x))


class ConvNorm(nn.Sequential):
    """A convolution without bias, batch norm and, where asked for, SiLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1,
        active: bool = True,
    ) -> None:  # fmt: skip
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        parts: OrderedDict[str, nn.Module] = OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs))
        if active:
            parts["active"] = nn.SiLU()
        super().__init__(parts)


class Squeeze(nn.Module):
    """Squeeze-and-excitation: each channel times a gate that sees the means of all."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.expand = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same."""
        means = x.mean((2, 3), keepdim=True)
        gate = self.expand(nn.functional.silu(self.reduce(means)))
        return x * torch.sigmoid(gate)


class Inverted(nn.Module):
    """Expand by 1x1, filter each channel, gate, project; add the input where it fits.

    In training a share `drop` of the items passes by the block (stochastic depth).
    """

    def __init__(
        self, inputs: int, outputs: int, expansion: int, stride: int, kernel: int, drop: float
    ) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = ConvNorm(inputs, inner, 1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(inner, inner, kernel, stride, groups=inner)
        self.squeeze = Squeeze(inner, max(1, inputs // 4))
        self.project = ConvNorm(inner, outputs, 1, active=False)
        self.adds, self.drop = stride == 1 and inputs == outputs, drop

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        y: Tensor = self.project(self.squeeze(self.depthwise(self.expand(x))))
        if not self.adds:
            return y
        if self.training and self.drop > 0:
            kept = torch.rand(len(y), 1, 1, 1, device=y.device) >= self.drop
            y = y * (kept / (1 - self.drop)).to(y.dtype)
        return x + y


def resnet(name: str, width: float, channels: int) -> Backbone:
    """Return a ResNet without its classifier; its parts are named as torchvision's are."""
    sizes = [max(1, round(size * width)) for size in (64, 128, 256, 512)]
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(channels, sizes[0], 7, 2, 3, bias=False), bn1=nn.BatchNorm2d(sizes[0]),
        active=nn.ReLU(), pool=nn.MaxPool2d(3, 2, 1),
    )  # fmt: skip
    before = sizes[0]
    for number, (size, count) in enumerate(zip(sizes, BASIC[name], strict=True), 1):
        blocks = [BasicBlock(before, size, 1 if number == 1 else 2)]
        blocks += [BasicBlock(size, size, 1) for _ in range(count - 1)]
        parts[f"layer{number}"], before = nn.Sequential(*blocks), size
    return _pooled(parts, before)


def efficientnet(name: str, width: float, channels: int) -> Backbone:
    """Return an EfficientNet without its classifier."""
    wide, deep = COMPOUND[name]
    before = divisible(STEM * wide * width)
    parts: OrderedDict[str, nn.Module] = OrderedDict(stem=ConvNorm(channels, before, 3, 2))
    counts = [math.ceil(blocks * deep) for _, _, blocks, _, _ in INVERTED]
    for count, (expansion, size, _, stride, kernel) in zip(counts, INVERTED, strict=True):
        outputs = divisible(size * wide * width)
        for index in range(count):
            drop = DROP * (len(parts) - 1) / sum(counts)
            own = stride if index == 0 else 1
            block = Inverted(before, outputs, expansion, own, kernel, drop)
            parts[f"block{len(parts)}"], before = block, outputs
    last = divisible(LAST * wide * max(width, 0.25))
    parts["last"] = ConvNorm(before, last, 1)
    return _pooled(parts, last)


def _pooled(parts: OrderedDict[str, nn.Module], features: int) -> Backbone:
    parts |= {"mean": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten()}
    network = nn.Sequential(parts)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return Backbone(network, features)


def divisible(channels: float, by: int = 8) -> int:
    """Return the nearest multiple of `by`, at least 90 % of `channels` (MobileNet's rule)."""
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest if nearest >= 0.9 * channels else nearest + by


BACKBONES: dict[str, Callable[[str, float, int], Backbone]] = {
    **dict.fromkeys(BASIC, resnet), **dict.fromkeys(COMPOUND, efficientnet),
}  # fmt: skip


def backbone(name: str, width: float = 1.0, channels: int = 3) -> Backbone:
    """Return a fresh backbone with random weights (He et al., 2015)."""
    return BACKBONES[name](name, width, channels)
