"""What targets are, for techniques that mix or smooth them: classes, heads of them, or labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bench.errors import NotApplicable

NEAR = 1e-5
"""How far a probability may be rounded below 0, or above 1."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What ``batch[1]`` holds in batches ``(inputs, targets)``; a job's loss takes both forms."""

    classes: int | None = None
    """Of so many classes the indices ``(B,)``, or probabilities ``(B, classes)``, as in
    `cross_entropy`; None: probabilities ``(B, labels)`` of labels independent of each other."""
    heads: tuple[int, ...] = ()
    """Instead of independent labels: several heads of so many classes each, their probabilities
    side by side ``(B, sum)``."""

    def soft(self, targets: Tensor) -> Tensor:
        """Return targets as probabilities ``(B, classes)`` or ``(B, labels)``.

        Raises `NotApplicable` for items of no class, or labels that are not known, which losses
        leave out by such a number (on the CPU: elsewhere looking at them would wait for them).
        """
        if self.classes is None or targets.is_floating_point():
            if targets.device.type == "cpu":
                check_shares(targets)
            return targets.to(torch.get_default_dtype())
        try:
            chosen = functional.one_hot(targets, self.classes)
        except RuntimeError as error:
            low, high = int(targets.min()), int(targets.max())
            raise NotApplicable(
                f"targets are from {low} to {high}, and the classes from 0 to {self.classes - 1}: "
                "an item of no class has no probabilities"
            ) from error
        return chosen.to(torch.get_default_dtype())

    def smoothed(self, targets: Tensor, share: float) -> Tensor:
        """Return probabilities, `share` of them spread evenly over what an item could be."""
        soft = self.soft(targets)
        if self.heads:
            evenly = [torch.full((n,), 1 / n, device=soft.device) for n in self.heads]
            return soft * (1 - share) + share * torch.cat(evenly)
        return soft * (1 - share) + share / (2 if self.classes is None else self.classes)

    def divergence(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """Return the Kullback-Leibler divergence of logits ``(B, ...)`` from others' probabilities.

        The mean over items, and over heads or labels: each label is a question of two classes.
        Classes that have no chance, of a score of minus infinity, add nothing.
        """
        pairs = zip(self._rows(logits), self._rows(wanted), strict=True)
        return torch.stack([_gap(own, other) for own, other in pairs]).mean()

    def _rows(self, logits: Tensor) -> list[Tensor]:
        """Return logits as rows of the classes of one question."""
        if self.heads:
            return list(torch.split(logits, list(self.heads), 1))
        if self.classes is None:
            return [torch.stack((logits, torch.zeros_like(logits)), -1).flatten(0, 1)]
        return [logits]


def _gap(logits: Tensor, wanted: Tensor) -> Tensor:
    own, other = logits.log_softmax(1), wanted.log_softmax(1)
    gaps = functional.kl_div(own, other, reduction="none", log_target=True)
    return gaps.masked_fill(other.isneginf(), 0).sum() / len(own)


def check_shares(targets: Tensor) -> None:
    """Raise `NotApplicable` for what is no probability: -1 or nan, say, of a label not known."""
    outside = ~((targets > -NEAR) & (targets < 1 + NEAR))
    if bool(outside.any()):
        raise NotApplicable(
            f"targets are probabilities, and {int(outside.sum())} of {targets.numel()} are not, "
            f"such as {targets[outside][0].item():g}: what is not known can't be mixed or smoothed"
        )
