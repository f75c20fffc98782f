"""The hierarchical contrastive loss with its angular margin, both from one Gram matrix each.

A Gram matrix ``(G, 2h, 2h)`` holds the inner products of 2h vectors: two views each of h things.
The two of the same thing are a positive pair, all others are negatives of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

COSINE_LIMIT = 1 - 1e-6
"""Cosines are held below this, where the angle's derivative is still finite in float32."""
AMC_SCALE = 1 / 25
Share = Tensor | float
NORM_FLOOR = 1e-12
LARGE_MATRIX = 96
"""From so many rows on, a matrix is worth its conversion to oneDNN's form."""


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
    views = z.reshape(2 * rows, both // 2, width)
    levels = [views]
    while levels[-1].shape[1] > 1:
        levels.append(_pooled(levels[-1]))
    losses: list[Tensor] = []
    if rows > 1 and settings.alpha > 0:  # one series has no other to be told apart from
        losses.append(_instance_loss(levels, settings.instance(tau)))
    if settings.alpha < 1:
        terms = settings.temporal(tau)
        for level in levels[:-1]:
            steps = level.shape[1]
            pairs = level.reshape(rows, 2 * steps, width)
            losses.append(gram_loss(pairs, steps, 1 / rows, terms))
    return sum(losses, z.new_zeros(())) / len(levels)


def _instance_loss(levels: list[Tensor], terms: Terms) -> Tensor:
    """Tell series apart at every step of all levels at once: their Gram matrices are one size."""
    together = torch.cat(levels, dim=1) if len(levels) > 1 else levels[0]
    shares = [1 / level.shape[1] for level in levels for _ in range(level.shape[1])]
    return gram_loss(together.transpose(0, 1), 1, together.new_tensor(shares)[:, None], terms)


def _pooled(z: Tensor) -> Tensor:
    """Take the maximum of each two steps: ``(N, T, C)`` to ``(N, T // 2, C)``."""
    # as a channels-last image: no copy to put time last
    return F.max_pool2d(z.transpose(1, 2).unsqueeze(2), (1, 2)).squeeze(2).transpose(1, 2)


def gram_loss(z: Tensor, apart: int, share: Share, terms: Terms) -> Tensor:
    """Return contrast and angular loss of 2h vectors in each of G groups, ``(G, 2h, C)``.

    `share` (a number, or ``(G, 1)``) weighs the groups' contrasts, which are means over their rows;
    the angular loss is a sum over all. The two of a positive pair lie `apart`: either h (all first
    ones, then all second ones) or 1 (each first one followed by its second).
    """
    loss: Tensor = _GramLoss.apply(z, apart, share, terms)  # type: ignore[no-untyped-call]
    return loss


class _GramLoss(torch.autograd.Function):
    """`gram_loss` with its gradient by the Gram matrix computed on the way.

    The loss is a scalar, so its gradient is known when its value is: nothing but one symmetric
    matrix is kept, and the backward pass is a single product instead of two.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, apart: int, share: Share, terms: Terms) -> Tensor:
        # large matrices one by one: the passes over each then stay in the cache
        size = 1 if z.shape[1] >= LARGE_MATRIX and z.device.type == "cpu" else len(z)
        shares: Sequence[Share] = [share] * len(z)
        if isinstance(share, Tensor):
            shares = torch.split(share, size)
        parts = zip(torch.split(z, size), shares, strict=False)
        results = [_value_and_gradient(part, apart, own, terms) for part, own in parts]
        ctx.save_for_backward(z, torch.cat([gradient for _, gradient in results]))
        return torch.stack([loss for loss, _ in results]).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        z, by_gram = ctx.saved_tensors
        return _products(by_gram, z.transpose(1, 2)).mul_(grad), None, None, None


def _value_and_gradient(z: Tensor, apart: int, share: Share, terms: Terms) -> tuple[Tensor, Tensor]:
    """Return the loss of a few groups and its gradient by their Gram matrices."""
    gram = _products(z, z)
    angular = _angular(gram, apart, terms) if terms.angular else None
    loss, gradient = _contrast(gram, apart, share, terms)
    if angular is not None:
        loss.add_(angular[0])
        gradient.add_(angular[1])
    return loss, gradient


def _products(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right.transpose(1, 2)``: ``(G, n, k)`` and ``(G, m, k)`` to ``(G, n, m)``.

    Large ones on the CPU go through oneDNN, which took half of MKL's time on an AMD EPYC.
    """
    large = left.shape[1] >= LARGE_MATRIX and left.dtype == torch.float32
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (large and left.device.type == "cpu" and has_onednn):
        return torch.bmm(left, right.transpose(1, 2))
    pairs = zip(left, right, strict=True)
    return torch.stack([F.linear(a.to_mkldnn(), b.to_mkldnn()).to_dense() for a, b in pairs])


def _contrast(gram: Tensor, apart: int, share: Share, terms: Terms) -> tuple[Tensor, Tensor]:
    """Return the contrast and, for a gradient by z, its symmetric gradient by the Gram matrix.

    Each group's mean over rows of logsumexp (without the row itself) minus the positive, times the
    group's share. Uses up `gram`.
    """
    both = gram.shape[1]
    scale = terms.contrast / both
    logits = gram.div_(terms.temperature) if terms.temperature != 1 else gram
    positives = _pairs(logits, apart).mean(dim=1, keepdim=True)
    logits.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    peak = logits.amax(dim=2, keepdim=True)
    weights = logits.sub_(peak).exp_()
    total = weights.sum(dim=2, keepdim=True)
    # against the positives' mean: both sums are large and their difference is small
    rows = peak.squeeze(2).sub_(positives).add_(total.log().squeeze(2))
    loss = rows.mul_(share).sum().mul_(scale)
    part = share * (scale / terms.temperature)
    weights.mul_(total.squeeze(2).reciprocal_().mul_(part).unsqueeze(2))
    _pairs(weights, apart).sub_(2 * part)  # once for either order: the sum below makes it two
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
    slope = missing.masked_fill_(held != cosine, 0).div_(torch.rsub(held.square_(), 1).sqrt_())
    by_norm = (slope * cosine).sum(dim=2).mul_(inverse.square()).neg_()
    by_gram = slope.mul_(inverses)
    by_gram.diagonal(dim1=1, dim2=2).copy_(by_norm)
    return loss, by_gram.mul_(4 * scale)


def _pairs(gram: Tensor, apart: int) -> Tensor:
    """Return a view ``(G, h)`` of the positive pairs' entries above the diagonal."""
    return gram.diagonal(offset=apart, dim1=1, dim2=2)[:, :: 2 if apart == 1 else 1]
