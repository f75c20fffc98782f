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

from baselines.timehut import masks
from baselines.timehut.crops import Views
from baselines.timehut.settings import MaskName

DROPOUT = 0.1
FEW_STEPS = 512
"""Up to so many time steps in a batch a matrix product costs less than a 1x1 convolution."""
FAR = 32
"""From this dilation on, the weights' gradients are products of their own."""
_conv_backward = torch.ops.aten.convolution_backward


class DilatedConv(nn.Conv2d):
    """A convolution over time, kernel 3, as long as its input: ``(N, C, 1, L)``."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__(inputs, outputs, (1, 3), padding=(0, dilation), dilation=(1, dilation))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; outer taps that could only see padding are left out of the sum."""
        reach = int(self.dilation[1])
        if reach >= x.shape[3]:
            return _stepwise(x, self.weight[:, :, 0, 1], self.bias)
        if reach < FAR or x.device.type != "cpu" or _otherwise_computed():
            return F.conv2d(x, self.weight, self.bias, 1, (0, reach), (1, reach))
        far: Tensor = _FarConv.apply(x, self.weight, self.bias, reach)  # type: ignore[no-untyped-call]
        return far


def _otherwise_computed() -> bool:
    """Tell whether a compiler or autocast is to choose how a convolution is computed."""
    return torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")


class _FarConv(torch.autograd.Function):
    """A convolution whose weights get their gradient tap by tap, over the steps that each sees.

    oneDNN takes 1.6 times as long for the weights of a far dilation as for those of a near one.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, reach: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.reach = reach
        return F.conv2d(x, weight, bias, 1, (0, reach), (1, reach))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        reach = ctx.reach
        by_x = None
        if ctx.needs_input_grad[0]:
            shape = None, (1, 1), (0, reach), (1, reach), False, (0, 0), 1
            by_x = _conv_backward(grad, x, weight, *shape, (True, False, False))[0]
        seen, given = x.squeeze(2).transpose(1, 2), grad.squeeze(2)
        taps = [
            torch.bmm(given[:, :, reach:], seen[:, :-reach]),
            torch.bmm(given, seen),
            torch.bmm(given[:, :, :-reach], seen[:, reach:]),
        ]
        by_weight = torch.stack([tap.sum(0) for tap in taps], dim=2).unsqueeze(2)
        return by_x, by_weight, grad.sum((0, 2, 3)), None


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
    if torch.compiler.is_exporting() or x.shape[0] * x.shape[3] > FEW_STEPS:
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

    def forward(self, x: Tensor, views: Views | None = None) -> Tensor:
        """Map ``(N, inputs, 1, L)`` to ``(N, outputs, 1, L)``.

        Steps outside of the `views` are zero to the convolutions, as padding is.
        """
        if self.dilation >= x.shape[3]:
            views = None  # step by step there is nothing that could leak
        residual = x if self.projector is None else self.projector(x)
        x = self.conv1(_gelu(x, views))
        convolved: Tensor = self.conv2(_gelu(x, views))
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
        whole = True
        for i, block in enumerate(self.blocks):
            if whole and 2**i >= h.shape[3]:
                # from here on every step is on its own: go on with what is needed alone
                h, whole = _windows(h, views), False
            h = block(h, views if whole else None)
        return _windows(h, views) if whole else h


class Dropout(nn.Dropout):
    """Dropout that cuts four numbers out of each random word: a seventh of `bernoulli_`'s time.

    The share is a multiple of 1/65536, and the scale is that of the share.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Set a share p of elements to zero in training, and scale the others by 1 / (1 - p)."""
        if not self.training:
            return x
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
        numbers = words.random_(-(2**63), None).view(torch.int16)[: x.numel()]
        dropped = round(self.p * 2**16)
        kept = numbers >= dropped - 2**15
        flat = x.permute(0, 2, 3, 1)  # as it lies in memory
        scaled = kept.to(x.dtype).mul_(1 / (1 - dropped / 2**16)).view(flat.shape)
        return x * scaled.permute(0, 3, 1, 2)


def _gelu(x: Tensor, views: Views | None) -> Tensor:
    if views is None:
        return F.gelu(x)
    if torch.compiler.is_compiling():  # lengths as numbers would be compiled anew for each
        return F.gelu(x) * views.inside[:, None, None]
    inside: Tensor = _GeluInside.apply(x, views)  # type: ignore[no-untyped-call]  # torch's apply
    return inside


class _GeluInside(torch.autograd.Function):
    """GELU, but zero outside of the views: fills the padding, where a mask takes whole passes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, views: Views) -> Tensor:
        ctx.save_for_backward(x)
        ctx.lengths = views.lengths
        return _fill_padding(F.gelu(x), views.lengths)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return _fill_padding(torch.ops.aten.gelu_backward(grad, x), ctx.lengths), None


def _fill_padding(x: Tensor, lengths: tuple[int, int]) -> Tensor:
    for view, length in zip(x.chunk(2), lengths, strict=True):
        if length < x.shape[3]:
            view[..., length:].zero_()
    return x


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
