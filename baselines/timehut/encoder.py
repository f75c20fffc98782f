"""The TS2Vec encoder, laid out so that a step costs no more arithmetic than it must.

Activations are images ``(N, C, 1, L)`` in channels-last memory, which is ``(N, L, C)``: what the
input layer makes and what the losses need, and what convolutions run fastest on. All is exact.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.timehut import MaskName, masks
from baselines.timehut.crops import Views

DROPOUT = 0.1
FEW_STEPS = 512
"""Up to so many time steps in a batch a matrix product costs less than a 1x1 convolution."""


class DilatedConv(nn.Conv2d):
    """A convolution over time, kernel 3, as long as its input: ``(N, C, 1, L)``."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__(inputs, outputs, (1, 3), padding=(0, dilation), dilation=(1, dilation))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; outer taps that could only see padding are left out of the sum."""
        reach = int(self.dilation[1])
        if reach < x.shape[3]:
            return F.conv2d(x, self.weight, self.bias, 1, (0, reach), (1, reach))
        return _stepwise(x, self.weight[:, :, 0, 1], self.bias)


class StepwiseConv(nn.Module):
    """The same where the dilation is at least the series' length: only the centre tap sees them.

    The outer taps are kept, but get no gradient and so cost no update: nothing depends on them.
    """

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        whole = DilatedConv(inputs, outputs, dilation)
        self.dilation = dilation
        self.centre = nn.Parameter(whole.weight[:, :, 0, 1].detach().clone())
        self.outer = nn.Parameter(whole.weight[:, :, 0, ::2].detach().clone())
        self.bias = whole.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map each step of ``(N, inputs, 1, L)``; of longer series than trained on, all taps."""
        if self.dilation >= x.shape[3]:
            return _stepwise(x, self.centre, self.bias)
        left, right = self.outer.unbind(2)
        weight = torch.stack([left, self.centre, right], dim=2).unsqueeze(2)
        return F.conv2d(x, weight, self.bias, 1, (0, self.dilation), (1, self.dilation))


def _stepwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if x.shape[0] * x.shape[3] > FEW_STEPS:
        return F.conv2d(x, weight[:, :, None, None], bias)
    return F.linear(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)


class Block(nn.Module):
    """GELU, convolution, GELU, convolution, plus the residual."""

    def __init__(
        self, inputs: int, outputs: int, dilation: int, project: bool, longest: int
    ) -> None:
        super().__init__()
        self.dilation = dilation
        conv = StepwiseConv if dilation >= longest else DilatedConv
        self.conv1 = conv(inputs, outputs, dilation)
        self.conv2 = conv(outputs, outputs, dilation)
        self.projector = nn.Conv2d(inputs, outputs, 1) if project else None

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Map ``(N, inputs, 1, L)`` to ``(N, outputs, 1, L)``.

        Steps outside of `valid` ``(N, inputs, 1, L)`` are zero to the convolutions, as padding is.
        """
        if valid is not None and self.dilation >= x.shape[3]:
            valid = None  # step by step there is nothing that could leak
        residual = x if self.projector is None else self.projector(x)
        x = self.conv1(_gelu(x, valid))
        convolved: Tensor = self.conv2(_gelu(x, valid))
        return convolved + residual


class TSEncoder(nn.Module):
    """Represent every time step of series ``(B, T, C)`` by ``output`` numbers.

    `longest` is the length of the series that it is trained on.
    """

    def __init__(
        self,
        channels: int,
        output: int = 320,
        hidden: int = 64,
        depth: int = 10,
        longest: int = 1 << 30,
        mask: MaskName = "binomial",
    ) -> None:
        super().__init__()
        self.mask = mask
        self.input = nn.Linear(channels, hidden)
        widths = [hidden] * (depth + 1) + [output]
        self.blocks = nn.ModuleList(
            Block(widths[i], widths[i + 1], 2**i, i == depth or widths[i] != widths[i + 1], longest)
            for i in range(depth + 1)
        )
        self.dropout = Dropout(DROPOUT)

    def forward(self, x: Tensor, views: Views | None = None, mask: Tensor | None = None) -> Tensor:
        """Map ``(B, T, C)`` to ``(B, T, output)``.

        With `views`, x ``(2B, L, C)`` stacks two views of B series and the result is their
        windows ``(2B, width, output)``. Without a `mask` ``(B, T)`` (False hides a step) one is
        drawn in training and nothing is hidden in evaluation. Steps with a NaN are hidden always.
        """
        x, mask = self._hide_missing(x, mask)
        h = self.input(x)
        if mask is not None:
            h = h * mask.unsqueeze(2).to(h.dtype)
        h = h.transpose(1, 2).unsqueeze(2)
        z: Tensor = self.dropout(self._run(h, views))
        return z.squeeze(2).transpose(1, 2)

    def _hide_missing(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        kind: MaskName = self.mask if self.training else "all_true"
        if mask is None and kind != "all_true":
            mask = masks.draw(kind, x.shape[0], x.shape[1], x.device)
        missing = x.isnan()
        seen = ~missing.any(dim=2)
        return x.masked_fill(missing, 0), seen if mask is None else mask & seen

    def _run(self, h: Tensor, views: Views | None) -> Tensor:
        if views is None:
            for block in self.blocks:
                h = block(h)
            return h
        # as large as h: a product with a broadcast column of ones costs four times as much
        valid: Tensor | None = torch.ones_like(h) * views.inside[:, None, None]
        for i, block in enumerate(self.blocks):
            if valid is not None and 2**i >= h.shape[3]:
                # from here on every step is on its own: go on with what is needed alone
                h, valid = _windows(h, views), None
            h = block(h, valid)
        return h if valid is None else _windows(h, views)


class Dropout(nn.Dropout):
    """Dropout that draws uniform numbers: half the time of `bernoulli_` on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Set a share p of elements to zero in training, and scale the others by 1 / (1 - p)."""
        if not self.training:
            return x
        kept = torch.rand_like(x, memory_format=torch.preserve_format) >= self.p
        return x * kept.to(x.dtype).mul_(1 / (1 - self.p))


def _gelu(x: Tensor, valid: Tensor | None) -> Tensor:
    if valid is None:
        return F.gelu(x)
    return F.gelu(x) * (valid if valid.shape[1] == x.shape[1] else valid[:, :1])


def _windows(h: Tensor, views: Views) -> Tensor:
    """Cut either view's window out of ``(2B, C, 1, L)``: ``(2B, C, 1, width)``."""
    if views.width == h.shape[3]:
        return h
    cut: Tensor = _Windows.apply(h, views)  # type: ignore[no-untyped-call]  # torch's apply
    return cut


class _Windows(torch.autograd.Function):
    """Both windows with one gradient: slices would fill and add up a whole tensor each."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, views: Views) -> Tensor:
        ctx.views, ctx.steps = views, h.shape[3]
        pairs = zip(h.chunk(2), views.windows, strict=True)
        return torch.cat([view.narrow(3, start, views.width) for view, start in pairs])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        rows, channels, _, width = grad.shape
        whole = grad.new_zeros(rows, ctx.steps, channels).permute(0, 2, 1).unsqueeze(2)
        for part, view, start in zip(grad.chunk(2), whole.chunk(2), ctx.views.windows, strict=True):
            view.narrow(3, start, width).copy_(part)
        return whole, None
