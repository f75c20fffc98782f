"""The hierarchical contrastive loss with its angular margin, both from one Gram matrix each.

A Gram matrix ``(G, 2h, 2h)`` holds the inner products of 2h vectors, of which i and i + h are
the two views of the same thing (a positive pair); all others are negatives of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos
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
    """Return the loss of two stacked views ``(2B, T, C)``: mean over levels of halved length.

    Computed in float32 (or float64) whatever the surrounding autocast.
    """
    with torch.autocast(z.device.type, enabled=False):
        return _hierarchical(z if z.dtype == torch.float64 else z.float(), tau, settings)


def _hierarchical(z: Tensor, tau: float, settings: LossSettings) -> Tensor:
    several = z.shape[0] > 2
    losses: list[Tensor] = []
    levels = 0
    while True:
        if several and settings.alpha > 0:  # one series has no other to be told apart from
            losses.append(gram_loss(z.transpose(0, 1), settings.instance(tau)))
        if z.shape[1] > 1 and settings.alpha < 1:
            losses.append(gram_loss(_series_first(z), settings.temporal(tau)))
        levels += 1
        if z.shape[1] == 1:
            break
        z = _pooled(z)
    return sum(losses, z.new_zeros(())) / levels


def _series_first(z: Tensor) -> Tensor:
    """Turn stacked views ``(2B, T, C)`` into both views after each other, ``(B, 2T, C)``."""
    both, steps, width = z.shape
    return (
        z.reshape(2, both // 2, steps, width).transpose(0, 1).reshape(both // 2, 2 * steps, width)
    )


def _pooled(z: Tensor) -> Tensor:
    """Take the maximum of each two steps: ``(2B, T, C)`` to ``(2B, T // 2, C)``."""
    # as a channels-last image: no copy to put time last
    return F.max_pool2d(z.transpose(1, 2).unsqueeze(2), (1, 2)).squeeze(2).transpose(1, 2)


def gram_loss(z: Tensor, terms: Terms) -> Tensor:
    """Return contrast and angular loss of vectors ``(G, 2h, C)``, i and i + h being positives."""
    loss: Tensor = _GramLoss.apply(z, terms)  # type: ignore[no-untyped-call]  # torch's apply
    return loss


class _GramLoss(torch.autograd.Function):
    """`gram_loss` with its gradient by the Gram matrix computed on the way.

    The loss is a scalar, so its gradient is known when its value is: nothing but one symmetric
    matrix is kept, and the backward pass is a single product instead of two.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, terms: Terms) -> Tensor:
        gram = torch.bmm(z, z.transpose(1, 2))
        angular, by_angle = _angular(gram, terms) if terms.angular else (None, None)
        contrast, by_contrast = _contrast(gram, terms)
        if by_angle is not None:
            by_contrast += by_angle
        ctx.save_for_backward(z, by_contrast)
        return contrast if angular is None else contrast + angular

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]  # torch leaves it untyped
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        z, by_gram = ctx.saved_tensors
        return torch.bmm(by_gram, z).mul_(grad), None


def _contrast(gram: Tensor, terms: Terms) -> tuple[Tensor, Tensor]:
    """Return the contrast and, for a gradient by z, its symmetric gradient by the Gram matrix.

    The mean over rows of logsumexp (without the row itself) minus the positive. Uses up `gram`.
    """
    groups, both, _ = gram.shape
    logits = gram.div_(terms.temperature) if terms.temperature != 1 else gram
    positives = _positives(logits).clone()
    logits.diagonal(dim1=1, dim2=2).fill_(float("-inf"))
    peak = logits.amax(dim=2, keepdim=True)
    weights = logits.sub_(peak).exp_()
    total = weights.sum(dim=2, keepdim=True)
    logsumexp = total.log().add_(peak).view(groups, 2, both // 2)
    scale = terms.contrast / (groups * both)
    loss = (logsumexp - positives.unsqueeze(1)).sum() * scale
    weights.mul_((scale / terms.temperature) / total)
    gradient = weights + weights.transpose(1, 2)
    for pairs in _both_positives(gradient):
        pairs.sub_(2 * scale / terms.temperature)
    return loss, gradient


def _angular(gram: Tensor, terms: Terms) -> tuple[Tensor, Tensor]:
    """Return the angular margin loss and its symmetric gradient, as `_contrast` does.

    Sum over positive pairs of θ² and over negative pairs of max(0, margin − θ)².
    """
    scale = terms.angular * AMC_SCALE
    inverse = gram.diagonal(dim1=1, dim2=2).sqrt().clamp_(min=NORM_FLOOR).reciprocal_()
    cosine = gram * inverse.unsqueeze(1)
    cosine.mul_(inverse.unsqueeze(2))
    near = _positives(cosine).clone()
    # at the lower limit the angle is the margin, where a negative costs nothing
    held = cosine.clamp(min=cos(terms.margin), max=COSINE_LIMIT)
    for excluded in (held.diagonal(dim1=1, dim2=2), *_both_positives(held)):
        excluded.fill_(cos(terms.margin))
    flat = held != cosine
    short = terms.margin - held.acos()
    inside = near.clamp(-COSINE_LIMIT, COSINE_LIMIT)
    angle = inside.acos()
    loss = (_squares(short) + 2 * _squares(angle)) * scale
    slope = short.mul_(2).div_((1 - held.square_()).sqrt_()).masked_fill_(flat, 0)
    outer = (angle * -2 / (1 - inside.square()).sqrt()).masked_fill_(inside != near, 0)
    for pairs in _both_positives(slope):
        pairs.copy_(outer)
    return loss, _by_gram(slope, cosine, inverse, 2 * scale)


def _by_gram(slope: Tensor, cosine: Tensor, inverse: Tensor, scale: float) -> Tensor:
    """Turn slopes by the cosines into slopes by the Gram matrix, norms included."""
    lengths = (slope * cosine).sum(dim=2)
    slope.mul_(inverse.unsqueeze(1)).mul_((inverse * scale).unsqueeze(2))
    slope.diagonal(dim1=1, dim2=2).copy_(lengths * inverse.square() * -scale)
    return slope


def _positives(gram: Tensor) -> Tensor:
    """Return a view ``(G, h)`` of the entries (i, i + h)."""
    return gram.diagonal(offset=gram.shape[1] // 2, dim1=1, dim2=2)


def _both_positives(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Return views of the entries (i, i + h) and of the entries (i + h, i)."""
    return _positives(gram), _positives(gram.transpose(1, 2))


def _squares(x: Tensor) -> Tensor:
    """Return the sum of squares without storing the squares."""
    flat = x.flatten()
    return flat.dot(flat)
