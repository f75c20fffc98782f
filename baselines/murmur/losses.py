"""The losses of several heads whose logits stand side by side; targets are probabilities."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits and probabilities ``(B, classes)`` to the loss of each item ``(B,)``."""


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each item."""
    return -(targets * logits.log_softmax(1)).sum(1)


def focal(gamma: float) -> Loss:
    """Return the focal loss without class weights (Lin et al., 2017, equation 4), by its gamma.

    Of mixed or smoothed targets each class counts by its share.
    """

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        logs = logits.log_softmax(1)
        return -(targets * (1 - logs.exp()) ** gamma * logs).sum(1)

    return loss


def of_heads(loss: Loss, heads: tuple[int, ...]) -> Loss:
    """Return the mean of a loss over heads of so many classes each."""

    def mean(logits: Tensor, targets: Tensor) -> Tensor:
        pairs = zip(*(torch.split(x, list(heads), 1) for x in (logits, targets)), strict=True)
        return torch.stack([loss(*pair) for pair in pairs]).mean(0)

    return mean
