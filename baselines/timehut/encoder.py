"""The TS2Vec encoder, laid out so that a step costs no more arithmetic than it must.

Activations are images ``(N, C, 1, L)`` in channels-last memory, which is ``(N, L, C)``: what the
input layer makes and what the losses need, and what convolutions run fastest on. All is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.timehut import MaskName, masks
from baselines.timehut.crops import Views

DROPOUT = 0.1


class DilatedConv(nn.Conv2d):
    """A convolution over time, kernel 3, as long as its input: ``(N, C, 1, L)``."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__(inputs, outputs, (1, 3), padding=(0, dilation), dilation=(1, dilation))

    @property
    def reach(self) -> int:
        """Return how many steps away the outer taps look."""
        return int(self.dilation[1])

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; outer taps that could only see padding are left out of the sum."""
        if self.reach < x.shape[3]:
            return F.conv2d(x, self.weight, self.bias, 1, (0, self.reach), (1, self.reach))
        return F.conv2d(x, self.weight[..., 1:2], self.bias)


class Block(nn.Module):
    """GELU, convolution, GELU, convolution, plus the residual."""

    def __init__(self, inputs: int, outputs: int, dilation: int, project: bool) -> None:
        super().__init__()
        self.conv1 = DilatedConv(inputs, outputs, dilation)
        self.conv2 = DilatedConv(outputs, outputs, dilation)
        self.projector = nn.Conv2d(inputs, outputs, 1) if project else None

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Map ``(N, inputs, 1, L)`` to ``(N, outputs, 1, L)``.

        Steps outside of `valid` ``(N, inputs, 1, L)`` are zero to the convolutions, as padding is.
        """
        if valid is not None and self.conv1.reach >= x.shape[3]:
            valid = None  # step by step there is nothing that could leak
        residual = x if self.projector is None else self.projector(x)
        x = self.conv1(_gelu(x, valid))
        convolved: Tensor = self.conv2(_gelu(x, valid))
        return convolved + residual


class TSEncoder(nn.Module):
    """Represent every time step of series ``(B, T, C)`` by ``output`` numbers."""

    def __init__(
        self,
        channels: int,
        output: int = 320,
        hidden: int = 64,
        depth: int = 10,
        mask: MaskName = "binomial",
    ) -> None:
        super().__init__()
        self.mask = mask
        self.input = nn.Linear(channels, hidden)
        widths = [hidden] * (depth + 1) + [output]
        self.blocks = nn.ModuleList(
            Block(widths[i], widths[i + 1], 2**i, project=i == depth or widths[i] != widths[i + 1])
            for i in range(depth + 1)
        )
        self.dropout = nn.Dropout(DROPOUT)

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


def _gelu(x: Tensor, valid: Tensor | None) -> Tensor:
    if valid is None:
        return F.gelu(x)
    return F.gelu(x) * (valid if valid.shape[1] == x.shape[1] else valid[:, :1])


def _windows(h: Tensor, views: Views) -> Tensor:
    """Cut either view's window out of ``(2B, C, 1, L)``: ``(2B, C, 1, width)``."""
    if views.width == h.shape[3]:
        return h
    pairs = zip(h.chunk(2), views.windows, strict=True)
    return torch.cat([view.narrow(3, start, views.width) for view, start in pairs])
