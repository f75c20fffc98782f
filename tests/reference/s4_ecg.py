"""The published S4 classifier, done the straightforward way: what ours is compared against.

Structure and order of work as published: a Cauchy tensor over all conjugate pairs, the kernel made
anew in every forward pass, ``(L, B, C)`` between the layers, skips summed over the whole length.
Buffers are those of the published code too, so that `state_dict` counts as it does there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from baselines.s4_ecg.kernels import Hippo, LowRankKernel, hippo
from baselines.s4_ecg.network import Block, Classifier, NormedConv, S4Layer


class PublishedKernel(nn.Module):
    """The kernel of HiPPO-LegS by a Cauchy tensor ``(6, H, N, L/2 + 1)`` in complex numbers."""

    c: Tensor
    log_dt: Tensor
    w: Tensor
    b: Tensor
    p: Tensor
    q: Tensor
    omega: Tensor
    z: Tensor

    def __init__(self, channels: int, length: int, system: Hippo) -> None:
        super().__init__()
        ours = LowRankKernel(channels, length, system)
        self.length = length
        self.c = ours.c
        self.register_buffer("log_dt", ours.log_dt)
        p = ours.p.to(torch.complex64)
        fixed = {
            "w": ours.eigenvalues.to(torch.complex64), "b": ours.b.to(torch.complex64),
            "p": p, "q": p.conj().resolve_conj(),
        }  # fmt: skip
        for name, value in fixed.items():
            self.register_buffer(name, torch.view_as_real(value.repeat(channels, 1)))
        turn = torch.arange(length // 2 + 1, dtype=torch.float64) * (-2 * math.pi / length)
        omega = torch.polar(torch.ones_like(turn), turn)
        if length % 2 == 0:
            omega[-1] = -1 + 1e-6  # at -1 itself z would be infinite
        self.register_buffer("omega", torch.view_as_real(omega.to(torch.complex64)))
        z = 2 * (1 - omega) / (1 + omega)
        self.register_buffer("z", torch.view_as_real(z.to(torch.complex64)))

    def forward(self) -> Tensor:
        """Return ``(2, H, L)``."""
        c, w, b, p, q, omega, z = map(
            torch.view_as_complex,
            (self.c, self.w, self.b, self.p, self.q, self.omega, self.z),
        )
        dt = self.log_dt.exp()[:, None]
        left = torch.cat((c, q[None]))  # (3, H, N/2)
        right = torch.stack((b, p))
        v = left[:, None] * right[None]  # (3, 2, H, N/2)
        pairs = torch.cat((v, v.conj()), dim=-1)
        poles = torch.cat((w, w.conj()), dim=-1) * dt
        cauchy = pairs[..., None] / (z - poles[..., None])  # the whole tensor, over N
        sums = cauchy.sum(-2) * dt
        feedback = sums[:-1, 1] * sums[-1, 0] / (1 + sums[-1, 1])
        response = (sums[:-1, 0] - feedback) * 2 / (1 + omega)
        made: Tensor = torch.fft.irfft(response, n=self.length)
        return made


class PublishedLayer(nn.Module):
    """An S4 layer ``(L, B, H)`` to ``(L, B, H)``."""

    def __init__(self, channels: int, length: int, system: Hippo) -> None:
        super().__init__()
        self.kernel = PublishedKernel(channels, length, system)
        self.d = nn.Parameter(torch.randn(channels))
        self.mix = nn.Conv1d(channels, channels, 1)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Permute, convolve, mix, permute back, add, norm."""
        length = len(x)
        u = x.permute(1, 2, 0).contiguous()
        k0, k1 = self.kernel()
        kernel = functional.pad(k0, (0, length)) + functional.pad(k1.flip(-1), (length, 0))
        product = torch.fft.rfft(u, n=2 * length) * torch.fft.rfft(kernel, n=2 * length)
        y = torch.fft.irfft(product, n=2 * length)[..., :length]
        y = functional.gelu(y + u * self.d[:, None])
        mixed = self.mix(y).permute(2, 0, 1).contiguous()
        normed: Tensor = self.norm(x + mixed)
        return normed


class PublishedBlock(nn.Module):
    """A residual block; the skip convolution sees the whole length."""

    def __init__(self, residual: int, skip: int, length: int, system: Hippo) -> None:
        super().__init__()
        self.conv = weight_norm(nn.Conv1d(residual, 2 * residual, 3, padding=1))
        self.first = PublishedLayer(2 * residual, length, system)
        self.second = PublishedLayer(2 * residual, length, system)
        self.residual = weight_norm(nn.Conv1d(residual, residual, 1))
        self.skip = weight_norm(nn.Conv1d(residual, skip, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(B, R, L)`` to ``(B, R, L)`` and ``(B, S, L)``."""
        u = self.conv(x).permute(2, 0, 1).contiguous()
        u = self.second(self.first(u)).permute(1, 2, 0).contiguous()
        first, second = u.chunk(2, dim=1)
        gated = torch.tanh(first) * torch.sigmoid(second)
        return (x + self.residual(gated)) * math.sqrt(0.5), self.skip(gated)


class PublishedEncoder(nn.Module):
    """Stem, blocks, skip sum over the whole length, then the average over it."""

    def __init__(self, leads: int, length: int, layers: int, residual: int, skip: int) -> None:
        super().__init__()
        system = hippo(64)
        self.stem = weight_norm(nn.Conv1d(leads, residual, 1))
        self.blocks = nn.ModuleList(
            PublishedBlock(residual, skip, length, system) for _ in range(layers)
        )

    def forward(self, signals: Tensor) -> Tensor:
        """Return features ``(B, S)``."""
        x, total = self.stem(signals).relu(), torch.zeros(())
        for block in self.blocks:
            x, skip = block(x)
            total = total + skip
        made: Tensor = (total * math.sqrt(1 / len(self.blocks))).mean(2)
        return made


class PublishedClassifier(nn.Module):
    """Encoder and head, with the weights of ours."""

    def __init__(self, ours: Classifier, leads: int, length: int, residual: int, skip: int) -> None:
        super().__init__()
        layers = len(ours.encoder.blocks)
        self.encoder = PublishedEncoder(leads, length, layers, residual, skip)
        self.head = ours.head
        _copy(self.encoder.stem, ours.encoder.stem)
        for mine, block in zip(self.encoder.blocks, ours.encoder.blocks, strict=True):
            assert isinstance(mine, PublishedBlock)
            assert isinstance(block, Block)
            for name in ("conv", "residual", "skip"):
                _copy(getattr(mine, name), getattr(block, name))
            _copy_layer(mine.first, block.first)
            _copy_layer(mine.second, block.second)

    def forward(self, signals: Tensor) -> Tensor:
        """Return logits."""
        made: Tensor = self.head(self.encoder(signals))
        return made


@torch.no_grad()
def _copy(conv: nn.Module, ours: NormedConv) -> None:
    conv.weight = ours.weight()
    assert isinstance(conv.bias, Tensor)
    conv.bias.copy_(ours.bias[:, 0])


@torch.no_grad()
def _copy_layer(layer: PublishedLayer, ours: S4Layer) -> None:
    pairs = (
        (layer.kernel.c, ours.kernel.c), (layer.kernel.log_dt, ours.kernel.log_dt),
        (layer.d, ours.feedthrough), (layer.mix.weight, ours.weight[..., None]),
        (layer.mix.bias, ours.bias[:, 0]), (layer.norm.weight, ours.scale[:, 0]),
        (layer.norm.bias, ours.shift[:, 0]),
    )  # fmt: skip
    for mine, theirs in pairs:
        assert mine is not None
        mine.copy_(theirs)
