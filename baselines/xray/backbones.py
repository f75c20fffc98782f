"""Backbones as sequences of named units, each of which maps one tensor to one tensor.

So a backbone can be cut between any two units: what is frozen before, what trains after it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

GROWTH, BOTTLENECK = 32, 4
DENSE_BLOCKS = (6, 12, 24, 16)
"""Layers of DenseNet121's blocks."""
INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip
"""MobileNetV2's stages: expansion, channels, blocks, stride of the first block."""
LAST = 1280
SMALL_STAGES = (24, 48, 96, 192)

Units = OrderedDict[str, nn.Module]


class ConvNorm(nn.Sequential):
    """A convolution without bias, batch norm and, where asked for, a rectifier."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1,
        active: type[nn.Module] | None = nn.ReLU6,
    ) -> None:  # fmt: skip
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        parts: Units = OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs))
        if active is not None:
            parts["active"] = active()
        super().__init__(parts)


class DenseLayer(nn.Module):
    """Appends `growth` channels made from all before: ``(B, C, H, W)`` to ``(B, C + growth, ...)``.

    Norm, rectifier and convolution, twice: to a bottleneck by 1x1, from there by 3x3.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        inner = BOTTLENECK * growth
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the input with the new channels behind it."""
        inner = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.norm2(inner)))], 1)


class Transition(nn.Module):
    """Halves channels and sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, C / 2, H / 2, W / 2)``."""
        made: Tensor = self.pool(self.conv(torch.relu(self.norm(x))))
        return made


class InvertedResidual(nn.Module):
    """Expand by 1x1, filter each channel by 3x3, project by 1x1; add the input where it fits."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = ConvNorm(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = ConvNorm(inner, inner, 3, stride, groups=inner)
        self.project = ConvNorm(inner, outputs, 1, active=None)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        inner = x if self.expand is None else self.expand(x)
        made: Tensor = self.project(self.depthwise(inner))
        return x + made if self.adds else made


def densenet121(width: float) -> tuple[Units, int]:
    """Return DenseNet121's units and how many features it gives."""
    growth = max(1, round(GROWTH * width))
    channels = 2 * growth
    stem = ConvNorm(3, channels, 7, 2, active=nn.ReLU)
    stem.append(nn.MaxPool2d(3, 2, 1))
    units: Units = OrderedDict(stem=stem)
    for block, layers in enumerate(DENSE_BLOCKS, 1):
        for layer in range(1, layers + 1):
            units[f"block{block}_layer{layer}"] = DenseLayer(channels, growth)
            channels += growth
        if block < len(DENSE_BLOCKS):
            units[f"transition{block}"] = Transition(channels)
            channels //= 2
    last: Units = OrderedDict(norm=nn.BatchNorm2d(channels), active=nn.ReLU())
    units["last"] = nn.Sequential(last)
    return units, channels


def mobilenetv2(width: float) -> tuple[Units, int]:
    """Return MobileNetV2's units and how many features it gives."""
    channels = divisible(32 * width)
    units: Units = OrderedDict(stem=ConvNorm(3, channels, 3, 2))
    for expansion, stage_channels, blocks, first_stride in INVERTED:
        outputs = divisible(stage_channels * width)
        for index in range(blocks):
            stride = first_stride if index == 0 else 1
            block = InvertedResidual(channels, outputs, stride, expansion)
            units[f"block{len(units)}"] = block
            channels = outputs
    features = divisible(LAST * max(1.0, width))
    units["last"] = ConvNorm(channels, features, 1)
    return units, features


def small(width: float) -> tuple[Units, int]:
    """Return the units of a small network: two convolutions a stage, each stage half the side."""
    units, channels = OrderedDict[str, nn.Module](), 3
    for number, stage_channels in enumerate(SMALL_STAGES, 1):
        outputs = max(1, round(stage_channels * width))
        units[f"down{number}"] = ConvNorm(channels, outputs, 3, 2, active=nn.ReLU)
        if number > 1:
            units[f"block{number}"] = ConvNorm(outputs, outputs, 3, active=nn.ReLU)
        channels = outputs
    return units, channels


def divisible(channels: float, by: int = 8) -> int:
    """Return the nearest multiple of `by`, at least 90 % of `channels` (MobileNet's rule)."""
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest if nearest >= 0.9 * channels else nearest + by


BACKBONES: dict[str, Callable[[float], tuple[Units, int]]] = {
    "densenet121": densenet121, "mobilenetv2": mobilenetv2, "small": small,
}  # fmt: skip


def layers_of(unit: nn.Module) -> int:
    """Return how many layers with weights a unit has: convolutions and norms."""
    return sum(isinstance(module, nn.Conv2d | nn.BatchNorm2d) for module in unit.modules())


def initialise(module: nn.Module) -> None:
    """Draw the weights of convolutions as He et al. (2015) do for rectifiers, in place."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out")
