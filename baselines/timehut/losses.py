"""The hierarchical contrastive loss with its angular margin, both from one Gram matrix each.

A Gram matrix ``(G, 2h, 2h)`` holds the inner products of 2h vectors: two views each of h things.
The two of the same thing are a positive pair, all others are negatives of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

COSINE_LIMIT = 1 - 1e-6
"""Cosines are held below this, where the angle's derivative is still finite in float32."""
AMC_SCALE = 1 / 25
NORM_FLOOR = 1e-12


@dataclass(frozen=True, slots=True)
class Terms:
    """Weights of one axis: contrast with a temperature, and the angular margin."""

    temperature: float
    contrast: float
    angular: float
    margin: float


@dataclass(frozen=True, slots=True)
class LossSettings:
    """The constants of the loss; the temperature comes with every call."""

    alpha: float = 0.5
    amc_instance: float = 2.0
    amc_temporal: float = 2.0
    margin: float = 0.5
    temporal_tau: Literal["divide", "rescale"] = "divide"

    def instance(self, tau: float) -> Terms:
        """Return the terms that tell series apart at the same time step."""
        return Terms(tau, self.alpha, self.alpha * self.amc_instance, self.margin)

    def temporal(self, tau: float) -> Terms:
        """Return the terms that tell time steps of the same series apart."""
        share = 1 - self.alpha
        angular = share * self.amc_temporal
        if self.temporal_tau == "rescale":
            return Terms(1.0, share / tau, angular, self.margin)
        return Terms(tau, share, angular, self.margin)


def hierarchical_loss(z: Tensor, tau: float, settings: LossSettings) -> Tensor:
    """Return the loss of the common parts ``(B, 2T, C)``, the first view's T steps in front.

    The mean over levels, each of half the length of the one before; computed in float32 (or
    float64) whatever the surrounding autocast.
    """
    with torch.autocast(z.device.type, enabled=False):
        return _hierarchical(z if z.dtype == torch.float64 else z.float(), tau, settings)


def _hierarchical(z: Tensor, tau: float, settings: LossSettings) -> Tensor:
    rows, both, width = z.shape
    steps = both // 2
    losses: list[Tensor] = []
    levels = 0
    while True:
        views = z.reshape(2 * rows, steps, width)
        if rows > 1 and settings.alpha > 0:  # one series has no other to be told apart from
            losses.append(gram_loss(views.transpose(0, 1), 1, settings.instance(tau)))
        if steps > 1 and settings.alpha < 1:
            losses.append(gram_loss(z, steps, settings.temporal(tau)))
        levels += 1
        if steps == 1:
            break
        steps //= 2
        z = _pooled(views).reshape(rows, 2 * steps, width)
    return sum(losses, z.new_zeros(())) / levels


def _pooled(z: Tensor) -> Tensor:
    """Take the maximum of each two steps: ``(N, T, C)`` to ``(N, T // 2, C)``."""
    # as a channels-last image: no copy to put time last
    return F.max_pool2d(z.transpose(1, 2).unsqueeze(2), (1, 2)).squeeze(2).transpose(1, 2)


def gram_loss(z: Tensor, apart: int, terms: Terms) -> Tensor:
    """Return contrast and angular loss of 2h vectors in each of G groups, ``(G, 2h, C)``.

    The two of a positive pair lie `apart`: either h (all first ones, then all second ones) or 1
    (each first one followed by its second).
    """
    loss: Tensor = _GramLoss.apply(z, apart, terms)  # type: ignore[no-untyped-call]  # torch's apply
    return loss


class _GramLoss(torch.autograd.Function):
    """`gram_loss` with its gradient by the Gram matrix computed on the way.

    The loss is a scalar, so its gradient is known when its value is: nothing but one symmetric
    matrix is kept, and the backward pass is a single product instead of two.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, apart: int, terms: Terms) -> Tensor:
        gram = torch.bmm(z, z.transpose(1, 2))
        angular = _angular(gram, apart, terms) if terms.angular else None
        loss, gradient = _contrast(gram, apart, terms)
        if angular is not None:
            loss.add_(angular[0])
            gradient.add_(angular[1])
        ctx.save_for_backward(z, gradient)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        z, by_gram = ctx.saved_tensors
        return torch.bmm(by_gram, z).mul_(grad), None, None


def _contrast(gram: Tensor, apart: int, terms: Terms) -> tuple[Tensor, Tensor]:
    """Return the contrast and, for a gradient by z, its symmetric gradient by the Gram matrix.

    The mean over rows of logsumexp (without the row itself) minus the positive. Uses up `gram`.
    """
    groups, both, _ = gram.shape
    logits = gram.div_(terms.temperature) if terms.temperature != 1 else gram
    positives = _pairs(logits, apart).sum() * 2
    logits.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    peak = logits.amax(dim=2, keepdim=True)
    # against the positives' mean: both sums are large and their difference is small
    positives_mean = positives / (groups * both)
    weights = logits.sub_(peak).exp_()
    total = weights.sum(dim=2, keepdim=True)
    loss = (
        (peak.sub_(positives_mean).add_(total.log())).sum().mul_(terms.contrast / (groups * both))
    )
    scale = terms.contrast / (groups * both * terms.temperature)
    weights.mul_(total.reciprocal_().mul_(scale))
    _pairs(weights, apart).sub_(2 * scale)  # once for either order: the sum below makes it two
    return loss, weights + weights.transpose(1, 2)


def _angular(gram: Tensor, apart: int, terms: Terms) -> tuple[Tensor, Tensor]:
    """Return the angular margin loss and its symmetric gradient, as `_contrast` does.

    Sum over negative pairs of max(0, margin − θ)² and over positive pairs of θ².
    """
    inverse = gram.diagonal(dim1=1, dim2=2).clamp(min=NORM_FLOOR**2).rsqrt_()
    inverses = inverse.unsqueeze(1) * inverse.unsqueeze(2)
    cosine = gram * inverses
    held = cosine.clamp(-COSINE_LIMIT, COSINE_LIMIT)
    angle = held.acos()
    together = _pairs(angle, apart).neg()
    # how much angle is missing: to the margin, or to an angle of zero, where it is negative
    missing = torch.rsub(angle, terms.margin).clamp_(min=0)
    missing.diagonal(dim1=1, dim2=2).zero_()
    _pairs(missing, apart).copy_(together)
    _pairs(missing.transpose(1, 2), apart).copy_(together)
    flat = missing.view(-1)
    scale = terms.angular * AMC_SCALE
    loss = flat.dot(flat) * scale
    # dθ/dcos = −1/sin θ, and none where the cosine was held
    slope = missing.masked_fill_(held != cosine, 0).div_(held.square_().neg_().add_(1).sqrt_())
    by_norm = (slope * cosine).sum(dim=2).mul_(inverse.square()).neg_()
    by_gram = slope.mul_(inverses)
    by_gram.diagonal(dim1=1, dim2=2).copy_(by_norm)
    return loss, by_gram.mul_(4 * scale)


def _pairs(gram: Tensor, apart: int) -> Tensor:
    """Return a view ``(G, h)`` of the positive pairs' entries above the diagonal."""
    return gram.diagonal(offset=apart, dim1=1, dim2=2)[:, :: 2 if apart == 1 else 1]
