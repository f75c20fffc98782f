"""The classifier: an encoder, which may be frozen, and a head that trains."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from baselines.xray.backbones import Units, layers_of
from bench.model.freezing import freeze


class Cut(NamedTuple):
    """Where a backbone is cut: its units before, and those that train after it."""

    frozen: list[str]
    trained: list[str]
    layers: int
    """With weights, among those that train."""


def cut(units: Units, layers: int | None) -> Cut:
    """Return which units train: as many of the last as have at most `layers` layers; None: all."""
    names, counts = list(units), [layers_of(unit) for unit in units.values()]
    start, total = len(names), 0
    while start and (layers is None or total + counts[start - 1] <= layers):
        start -= 1
        total += counts[start]
    return Cut(names[:start], names[start:], total)


class Classifier(nn.Module):
    """Encoder and head: images ``(B, 3, S, S)`` to logits ``(B, outputs)``.

    The encoder is what is frozen; where that is nothing, or all of the backbone, it ends with the
    pooled features.
    """

    def __init__(self, units: Units, features: int, where: Cut, hidden: int, outputs: int) -> None:
        super().__init__()
        whole = not (where.frozen and where.trained)
        before = [*where.frozen, *where.trained] if whole else where.frozen
        after = [] if whole else where.trained
        pooled: Units = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten())
        encoder: Units = OrderedDict((name, units[name]) for name in before)
        head: Units = OrderedDict((name, units[name]) for name in after)
        (encoder if whole else head).update(pooled)
        head["classifier"] = classifier(features, hidden, outputs)
        self.encoder, self.head = nn.Sequential(encoder), nn.Sequential(head)
        if where.frozen:
            freeze(self.encoder)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        made: Tensor = self.head(self.encoder(images))
        return made


def classifier(features: int, hidden: int, outputs: int) -> nn.Module:
    """Return what makes logits of features: one linear layer, or two with a rectifier between."""
    if not hidden:
        return nn.Linear(features, outputs)
    layers: Units = OrderedDict(
        hidden=nn.Linear(features, hidden), active=nn.ReLU(), out=nn.Linear(hidden, outputs)
    )
    return nn.Sequential(layers)


class Several(nn.Module):
    """One classifier for each task; deployed, an image gets the logits of all of them."""

    def __init__(self, tasks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.tasks = nn.ModuleList(tasks)

    def forward(self, images: Tensor, task: int | None = None) -> Tensor:
        """Return the logits of a task, or of all tasks side by side."""
        if task is not None:
            made: Tensor = self.tasks[task](images)
            return made
        return torch.cat([one(images) for one in self.tasks], 1)
