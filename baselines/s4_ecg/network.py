"""The classifier: stem, residual blocks of two bidirectional S4 layers each, pooling, a head.

The stack of SSSD-ECG (Alcaraz and Strodthoff, 2023) without its diffusion parts. A block's skip
convolution is linear, and so is the pooling behind it: the pooled gate is what goes through it,
the same sum in 1/L of the work.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.s4_ecg.kernels import KERNELS, Hippo, hippo
from baselines.s4_ecg.operators import (
    ConvolveGelu,
    ResidualNorm,
    apply,
    gate,
    mix,
    mix_neighbours,
    s4_layer,
    two_sided,
)

STATE = 64
HIDDEN = 256
"""Units of the head's hidden layer."""
DROPOUT = 0.5
ITEMS = 4
"""Items that go through a block together where no gradient is needed, on a CPU."""


class NormedConv(nn.Module):
    """A convolution with normed weights: direction v ``(D, C, K)``, length g ``(D,)``, bias."""

    def __init__(self, inputs: int, outputs: int, width: int = 1) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.empty(outputs, inputs, width))
        nn.init.kaiming_normal_(self.v)
        self.g = nn.Parameter(self.v.detach().flatten(1).norm(dim=1))
        self.bias = nn.Parameter(torch.zeros(outputs, 1))

    def weight(self) -> Tensor:
        """Return the normed weights ``(D, C, K)``."""
        made: Tensor = self.v * (self.g / self.v.flatten(1).norm(dim=1))[:, None, None]
        return made

    def matrix(self) -> Tensor:
        """Return the weights ``(D, C)`` of a convolution of width 1."""
        return self.weight()[..., 0]


class S4Layer(nn.Module):
    """LayerNorm(u + W GELU(conv(u, k) + D u) + b), in both directions of time."""

    def __init__(self, channels: int, length: int, kernel: str, system: Hippo) -> None:
        super().__init__()
        self.kernel = KERNELS[kernel](channels, length, system)
        self.feedthrough = nn.Parameter(torch.randn(channels))
        mixing = nn.Linear(channels, channels)
        self.weight, self.bias = mixing.weight, nn.Parameter(mixing.bias.detach()[:, None])
        self.scale = nn.Parameter(torch.ones(channels, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1))

    def circular(self, length: int) -> Tensor:
        """Return the kernel of both directions with D in it, ``(H, n)``, for `length` samples."""
        with torch.autocast(self.weight.device.type, enabled=False):  # 8 bits are too few for it
            return two_sided(self.kernel()[..., :length], self.feedthrough)

    def forward(self, u: Tensor, spectrum: Tensor | None) -> Tensor:
        """Map ``(B, H, L)`` to the same; `spectrum` is given where no gradient is needed."""
        if spectrum is not None:
            return s4_layer(u, spectrum, (self.weight, self.bias), (self.scale, self.shift))
        z = apply(ConvolveGelu, u, self.circular(u.shape[2]))
        return apply(ResidualNorm, u, mix(self.weight, z, self.bias), self.scale, self.shift)


class Constants(NamedTuple):
    """What a block computes from its weights alone."""

    wide: Tensor
    """Of the convolution of width 3, ``(3, 2R, R)``."""
    residual: Tensor
    """Of the residual convolution, ``(R, R)``."""
    spectra: tuple[Tensor | None, Tensor | None]
    """Of the S4 layers' kernels; None where they are made with a gradient."""


class Block(nn.Module):
    """Convolution, two S4 layers, a gate; gives the next input and its share of the skip sum."""

    def __init__(self, residual: int, skip: int, length: int, kernel: str, system: Hippo) -> None:
        super().__init__()
        self.conv = NormedConv(residual, 2 * residual, 3)
        self.first = S4Layer(2 * residual, length, kernel, system)
        self.second = S4Layer(2 * residual, length, kernel, system)
        self.residual = NormedConv(residual, residual)
        self.skip = NormedConv(residual, skip)
        self._kept: tuple[tuple[object, ...], Constants] | None = None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(B, R, L)`` to ``(B, R, L)`` and ``(B, S)``."""
        constants = self.constants(int(x.shape[2]))
        if torch.is_grad_enabled() or torch.compiler.is_exporting():
            onward, pooled = self._run(x, constants, None)
        else:
            size = ITEMS if x.device.type == "cpu" else len(x)
            onward = torch.empty_like(x)
            rooms = zip(torch.split(x, size), torch.split(onward, size), strict=True)
            pooled = torch.cat([self._run(part, constants, room)[1] for part, room in rooms])
        return onward, functional.linear(pooled, self.skip.matrix(), self.skip.bias[:, 0])

    def constants(self, length: int) -> Constants:
        """Return what follows from the weights and how many samples there are.

        Kept from call to call while the weights are frozen.
        """
        weights = [*self.parameters(), *self.buffers()]
        if torch.compiler.is_exporting() and self._kept is not None:
            return self._kept[1]  # of a call before: they are constants of the graph
        if any(weight.requires_grad for weight in weights):
            return self._constants(length)
        own = ((w._version, w.data_ptr(), w.dtype, w.device) for w in weights)
        stamp = (length, *own)
        if self._kept is None or self._kept[0] != stamp:
            self._kept = stamp, self._constants(length)
        return self._kept[1]

    def _constants(self, length: int) -> Constants:
        layers = self.first, self.second
        spectra: tuple[Tensor | None, Tensor | None] = (None, None)
        if not torch.is_grad_enabled():
            first, second = (torch.fft.rfft(layer.circular(length)) for layer in layers)
            spectra = first, second
        half = math.sqrt(0.5)
        wide = self.conv.weight().permute(2, 0, 1).contiguous()
        return Constants(wide, half * self.residual.matrix(), spectra)

    def _run(self, x: Tensor, constants: Constants, out: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the next input, in `out` where that is given, and the pooled gate ``(B, R)``."""
        u = mix_neighbours(constants.wide, x, self.conv.bias).to(x.dtype)
        u = self.first(u, constants.spectra[0])
        u = self.second(u, constants.spectra[1])
        gated = gate(u)
        half = math.sqrt(0.5)
        onward = mix(constants.residual, gated, half * self.residual.bias)
        return torch.add(onward, x, alpha=half, out=out), gated.mean(2)


class Encoder(nn.Module):
    """Signals ``(B, leads, L)`` to features ``(B, S)``: the skip sum, pooled over time."""

    def __init__(
        self, leads: int, length: int, layers: int, residual: int, skip: int, kernel: str
    ) -> None:
        super().__init__()
        system = hippo(STATE)
        self.stem = NormedConv(leads, residual)
        self.blocks = nn.ModuleList(
            Block(residual, skip, length, kernel, system) for _ in range(layers)
        )

    def forward(self, signals: Tensor) -> Tensor:
        """Return the features."""
        x = mix(self.stem.matrix(), signals, self.stem.bias).relu()
        total: Tensor | None = None
        for block in self.blocks:
            x, skip = block(x)
            total = skip if total is None else total + skip
        assert total is not None
        return total * math.sqrt(1 / len(self.blocks))


class Classifier(nn.Module):
    """Encoder and head: signals ``(B, leads, L)`` to logits ``(B, classes)``."""

    def __init__(self, encoder: Encoder, features: int, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(features, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, classes)
        )

    def forward(self, signals: Tensor) -> Tensor:
        """Return the logits."""
        made: Tensor = self.head(self.encoder(signals))
        return made
