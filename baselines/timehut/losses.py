"""The hierarchical contrastive loss with its angular margin, both from one Gram matrix each.

A Gram matrix ``(G, 2h, 2h)`` holds the inner products of 2h vectors: two views each of h things.
The two of the same thing are a positive pair, all others are negatives of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

COSINE_LIMIT = 1 - 1e-6
"""Cosines are held below this, where the angle's derivative is still finite in float32."""
AMC_SCALE = 1 / 25
Share = Tensor | float
NORM_FLOOR = 1e-12
CACHED = 1 << 18
"""Elements of the matrices that are worked on at once on a CPU: what its caches hold."""
LARGE_MATRIX = 192
"""From so many rows on, a matrix is worth a call of its own."""
hardtanh_backward = torch.ops.aten.hardtanh_backward
"""A gradient, but 0 where the value lies beyond the limits: one pass."""


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
    float64) whatever the surrounding autocast. It can be differentiated once.
    """
    with torch.autocast(z.device.type, enabled=False):
        whole = z if z.dtype == torch.float64 else z.float()
        loss: Tensor = _Hierarchical.apply(whole, tau, settings)  # type: ignore[no-untyped-call]
    return loss


class _Hierarchical(torch.autograd.Function):
    """The loss with its gradient computed on the way.

    The loss is a scalar, so its gradient is known when its value is: each Gram matrix is taken to
    its gradient while it is in the cache, all levels add to one gradient, and nothing else is kept.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, tau: float, settings: LossSettings) -> Tensor:
        rows, both, width = z.shape
        trains = ctx.needs_input_grad[0]
        levels = [_Level(z.reshape(2 * rows, both // 2, width), trains)]
        while levels[-1].steps > 1:
            levels.append(levels[-1].pooled())
        share = 1 / len(levels)
        losses = []
        if settings.alpha < 1:
            terms = settings.temporal(tau)
            losses += [level.temporal_loss(rows, share, terms) for level in levels[:-1]]
        if rows > 1 and settings.alpha > 0:  # one series has no other to be told apart from
            losses.append(_instance_loss(levels, share, settings.instance(tau)))
        for coarse, fine in zip(levels[:0:-1], levels[-2::-1], strict=True):
            coarse.give_gradient_to(fine)
        ctx.gradient = levels[0].gradient
        return sum(losses, z.new_zeros(()))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        gradient, ctx.gradient = ctx.gradient, None  # used up: no second tensor of its size
        if gradient is None:
            raise RuntimeError("the hierarchical loss can be differentiated only once")
        rows, steps, width = gradient.shape
        return gradient.mul_(grad).view(rows // 2, 2 * steps, width), None, None


class _Level:
    """The vectors of one level, ``(2B, T, C)``, rows in pairs of views, and their gradient."""

    def __init__(self, views: Tensor, trains: bool, picked: Tensor | None = None) -> None:
        self.views = views
        self.steps = views.shape[1]
        self.gradient = torch.zeros_like(views) if trains else None
        self.picked = picked
        """Where the maximum of two finer steps was the first one: ``(2B, T, C)``, 0 or 1."""

    def pooled(self) -> _Level:
        """Take the maximum of each two steps."""
        first, second = _steps_of_two(self.views)
        trains = self.gradient is not None
        picked = torch.ge(first, second, out=torch.empty_like(first)) if trains else None
        return _Level(torch.maximum(first, second), trains, picked)

    def temporal_loss(self, rows: int, share: float, terms: Terms) -> Tensor:
        """Tell the time steps of every series apart, a few series at a time."""
        z = self.views.view(rows, 2 * self.steps, -1)
        size = max(1, CACHED // z.shape[1] ** 2) if z.device.type == "cpu" else rows
        losses = []
        for first in range(0, rows, size):
            part = z[first : first + size]
            logits = _gram(part, terms)
            loss, by_logits = loss_and_gradient(logits, self.steps, share / rows, share, terms)
            losses.append(loss)
            if self.gradient is not None:
                by_part = self.gradient.view(z.shape)[first : first + size]
                _add_product(by_part, by_logits, part, terms)
        return torch.stack(losses).sum()

    def give_gradient_to(self, fine: _Level) -> None:
        """Add the gradient by the maxima to that by the steps they were taken of."""
        if fine.gradient is None or self.gradient is None or self.picked is None:
            return
        first, second = _steps_of_two(fine.gradient)
        to_first = self.gradient * self.picked
        first.add_(to_first)
        second.add_(self.gradient).sub_(to_first)


def _steps_of_two(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return views of the first and the second of each two whole steps."""
    pairs = z.shape[1] // 2
    return z[:, : 2 * pairs : 2], z[:, 1::2]


def _instance_loss(levels: list[_Level], share: float, terms: Terms) -> Tensor:
    """Tell series apart at every step of all levels at once: their Gram matrices are one size."""
    logits = torch.cat([_gram(level.views.transpose(0, 1), terms) for level in levels])
    shares = [share / level.steps for level in levels for _ in range(level.steps)]
    weights = logits.new_tensor(shares)[:, None]
    loss, by_logits = loss_and_gradient(logits, 1, weights, share, terms)
    parts = torch.split(by_logits, [level.steps for level in levels])
    for level, part in zip(levels, parts, strict=True):
        if level.gradient is not None:
            by_step = torch.bmm(part, level.views.transpose(0, 1))  # one call; into strides, many
            level.gradient.transpose(0, 1).add_(by_step, alpha=1 / terms.temperature)
    return loss


def _gram(z: Tensor, terms: Terms) -> Tensor:
    """Return the logits ``(G, 2h, 2h)`` of vectors ``(G, 2h, C)``: products over temperature."""
    logits = z.new_empty(z.shape[0], z.shape[1], z.shape[1])
    _add_product(logits, z, z.transpose(1, 2), terms, beta=0)
    return logits


def loss_and_gradient(
    logits: Tensor, apart: int, share: Share, angular_share: float, terms: Terms
) -> tuple[Tensor, Tensor]:
    """Return contrast and angular loss of Gram matrices over the temperature, and the gradient.

    The gradient is symmetric, ``(G, 2h, 2h)`` as the logits, which are used up. `share` (a number,
    or ``(G, 1)``) weighs the groups' contrasts, which are means over their rows, `angular_share`
    the angular loss, a sum over all. The two of a positive pair lie `apart`: either h (all first
    ones, then all second ones) or 1 (each first one followed by its second).
    """
    if not terms.angular:
        return _contrast(logits, apart, share, terms)
    angular = _angular(logits, apart, angular_share, terms)
    loss, gradient = _contrast(logits, apart, share, terms)
    gradient.addcmul_(angular.by_cosine, angular.inverse_norms, value=angular.weight)
    gradient.diagonal(dim1=1, dim2=2).sub_(angular.by_norm)
    return loss.add_(angular.loss), gradient


def _add_product(out: Tensor, left: Tensor, right: Tensor, terms: Terms, beta: int = 1) -> None:
    """Make `out` beta times itself plus ``left @ right / temperature``, ``(G, n, m)``.

    Large ones on the CPU go through oneDNN, which took half of MKL's time on an AMD EPYC and no
    more on an Intel Xeon; this is the operator that a compiled `linear` calls.
    """
    scale = 1 / terms.temperature
    large = left.shape[1] >= LARGE_MATRIX and left.dtype == torch.float32
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (large and left.device.type == "cpu" and has_onednn):
        torch.baddbmm(out, left, right, beta=beta, alpha=scale, out=out)
        return
    for a, b, product in zip(left, right, out, strict=True):
        found = torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")
        if beta:
            product.add_(found, alpha=scale)
        else:
            torch.mul(found, scale, out=product)


def _contrast(logits: Tensor, apart: int, share: Share, terms: Terms) -> tuple[Tensor, Tensor]:
    """Return the contrast and, for a gradient by z, its symmetric gradient by the logits.

    Each group's mean over rows of logsumexp (without the row itself) minus the positive, times the
    group's share. Uses up `logits`.
    """
    scale = terms.contrast / logits.shape[1]
    positives = _pairs(logits, apart).mean(dim=1, keepdim=True)
    logits.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    peak = logits.amax(dim=2, keepdim=True)
    weights = logits.sub_(peak).exp_()
    total = weights.sum(dim=2, keepdim=True)
    # against the positives' mean: both sums are large and their difference is small
    rows = peak.squeeze(2).sub_(positives).add_(total.log().squeeze(2))
    loss = rows.mul_(share).sum().mul_(scale)
    part = share * scale
    weights.mul_(total.squeeze(2).reciprocal_().mul_(part).unsqueeze(2))
    _pairs(weights, apart).sub_(2 * part)  # once for either order: the sum below makes it two
    return loss, weights + weights.transpose(1, 2)


class _Angular(NamedTuple):
    """The angular loss and, in parts, its gradient by the Gram matrices."""

    loss: Tensor
    by_cosine: Tensor
    inverse_norms: Tensor
    weight: float
    """Times the two matrices' product it is the gradient off the diagonal."""
    by_norm: Tensor
    """``(G, 2h)``: minus the gradient on the diagonal."""


def _angular(gram: Tensor, apart: int, share: float, terms: Terms) -> _Angular:
    """Return the angular margin loss of Gram matrices in any scale: it cancels in the cosine.

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
    scale = terms.angular * AMC_SCALE * share
    loss = flat.dot(flat) * scale
    # dθ/dcos = −1/sin θ, and none where the cosine was held
    inverse_sine = torch.addcmul(held.new_ones(()), held, held, value=-1).rsqrt_()
    slope = hardtanh_backward(missing, cosine, -COSINE_LIMIT, COSINE_LIMIT)
    slope.mul_(inverse_sine)
    weight = 4 * scale
    by_norm = (slope * cosine).sum(dim=2).mul_(inverse.square().mul_(weight))
    return _Angular(loss, slope, inverses, weight, by_norm)


def _pairs(gram: Tensor, apart: int) -> Tensor:
    """Return a view ``(G, h)`` of the positive pairs' entries above the diagonal."""
    return gram.diagonal(offset=apart, dim1=1, dim2=2)[:, :: 2 if apart == 1 else 1]
