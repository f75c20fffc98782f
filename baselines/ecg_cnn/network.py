"""The networks: one-dimensional stages, attention and dense layers, each part with a switch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LEADS = 12
SQUEEZED = 16
"""Channels by so many are squeeze-and-excitation's hidden units."""
STAGE_DROPOUT, DENSE_DROPOUT = 0.3, 0.5


class Squeeze(nn.Module):
    """Squeeze-and-excitation: each channel times a gate that sees all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // SQUEEZED)
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, T)`` to the same."""
        gated: Tensor = x * self.gate(x.mean(2))[:, :, None]
        return gated


class Attention(nn.Module):
    """Self-attention over time, added to its input."""

    def __init__(self, channels: int, scaled: bool) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.scale = 1 / math.sqrt(channels) if scaled else 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, T)`` to the same."""
        y = x.transpose(1, 2)
        scores = torch.matmul(self.query(y), self.key(y).transpose(1, 2)) * self.scale
        mixed = torch.matmul(torch.softmax(scores, dim=-1), self.value(y))
        added: Tensor = x + self.out(mixed).transpose(1, 2)
        return added


class Stage(nn.Module):
    """Convolutions with batch norm, a shortcut and a gate if wanted, pooling, dropout."""

    def __init__(
        self, inputs: int, outputs: int, width: int, convs: int,
        residual: bool, squeeze: bool, pool: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(convs):
            own = inputs if index == 0 else outputs
            layers += [nn.Conv1d(own, outputs, width, padding=width // 2), nn.BatchNorm1d(outputs)]
            layers += [nn.ReLU()] if index < convs - 1 else []
        self.convs = nn.Sequential(*layers)
        self.squeeze = Squeeze(outputs) if squeeze else nn.Identity()
        self.shortcut = _shortcut(inputs, outputs) if residual else None
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool1d(2) if pool else nn.Identity()
        self.dropout = nn.Dropout(STAGE_DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, T)`` to ``(B, outputs, T or T // 2)``."""
        y = self.squeeze(self.convs(x))
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        passed: Tensor = self.dropout(self.pool(self.relu(y)))
        return passed


def _shortcut(inputs: int, outputs: int) -> nn.Module:
    if inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv1d(inputs, outputs, 1, bias=False), nn.BatchNorm1d(outputs))


class MeanOverTime(nn.Module):
    """Global average pooling."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, T)`` to ``(B, C)``."""
        return x.mean(2)


def features(
    width: int, deep: bool, residual: bool, squeeze: bool, attention: bool, attention_scale: bool
) -> tuple[nn.Sequential, int]:
    """Return the part before the dense layers, ``(B, 12, T)`` to ``(B, C)``, and C."""
    channels = [width, 2 * width, 4 * width] + ([8 * width] * 2 if deep else [4 * width])
    widths = (7, 5, 5, 5, 3) if deep else (7, 5, 3, 3)
    inputs = [LEADS, *channels[:-1]]
    stages: list[nn.Module] = [
        Stage(before, after, k, 2 if deep else 1, residual, squeeze, pool=index < len(widths) - 1)
        for index, (before, after, k) in enumerate(zip(inputs, channels, widths, strict=True))
    ]
    if attention:
        stages.append(Attention(channels[-1], attention_scale))
    return nn.Sequential(*stages, MeanOverTime()), channels[-1]


def dense(inputs: int, classes: int, extra: bool) -> nn.Sequential:
    """Return the dense layers, ``(B, inputs)`` to logits ``(B, classes)``.

    The batch norm before the last layer learns no scale and no shift: that layer does.
    """
    sizes = (512, 256) if extra else (128,)
    layers: list[nn.Module] = []
    for before, after in zip((inputs, *sizes), sizes, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
        layers += [nn.BatchNorm1d(after, affine=False), nn.Dropout(DENSE_DROPOUT)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))


class Network(nn.Module):
    """Features, then dense layers: signals ``(B, 12, T)`` to logits ``(B, classes)``."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features = encoder
        self.head = head

    def forward(self, signals: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.features(signals))
        return logits
