"""The classifier: a backbone, one hidden layer, and two heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baselines.murmur.backbones import Backbone


class Classifier(nn.Module):
    """Pictures ``(B, 1, mels, frames)`` to the logits of all heads side by side ``(B, sum)``."""

    def __init__(
        self, backbone: Backbone, hidden: int, dropout: float, heads: Sequence[int]
    ) -> None:
        super().__init__()
        self.encoder = backbone.network
        self.shared = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(backbone.features, hidden), nn.ReLU(),
            nn.Dropout(dropout),
        )  # fmt: skip
        self.heads = nn.ModuleList(nn.Linear(hidden, classes) for classes in heads)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        shared = self.shared(self.encoder(images))
        return torch.cat([head(shared) for head in self.heads], 1)
