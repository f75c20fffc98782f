"""The stack's operators on ``(B, C, L)``: few passes over memory, few items of a batch at a time.

On a CPU each works through a batch in parts of about a MiB, so that what one pass writes the next
one reads from the cache; the backward passes are written out for the same reason. In batches
of one size, an item's result doesn't depend on the others, nor on its place among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from baselines.s4_ecg import plain_operators

PART = 2**18
"""Numbers of a tensor that are worked on at a time, on a CPU."""
EPSILON = 1e-5
Affine = tuple[Tensor, Tensor]
"""Factor and shift."""
GELU = torch.ops.aten.gelu.out
"""Into a given tensor."""


def parts(x: Tensor) -> list[slice]:
    """Return slices of the batch ``(B, C, L)`` that are worked on one after another."""
    size = max(1, PART // (x.shape[1] * x.shape[2])) if x.device.type == "cpu" else len(x)
    return [slice(start, start + size) for start in range(0, len(x), size)]


def transform_length(length: int) -> int:
    """Return a power of two that holds a two-sided convolution of `length` samples unwrapped."""
    return 1 << (2 * int(length) - 1).bit_length()  # a tensor where a counter traces


def two_sided(kernels: Tensor, feedthrough: Tensor) -> Tensor:
    """Return the circular kernel ``(H, n)`` of a forward and a backward response ``(2, H, L)``.

    Lag l >= 0 is forward[l] (plus the feedthrough D ``(H,)`` at 0), lag -1 - l is backward[l].
    """
    length = kernels.shape[2]
    forward, backward = kernels.unbind()
    now = forward[:, :1] + feedthrough[:, None]
    gap = forward.new_zeros(len(forward), transform_length(length) - 2 * length)
    return torch.cat((now, forward[:, 1:], gap, backward.flip(-1)), dim=1)


class Padded:
    """Memory for a part of ``(B, H, L)`` and the zeros behind it that a transform needs."""

    def __init__(self, x: Tensor, spectrum: Tensor) -> None:
        size = len(x[parts(x)[0]])
        self.length, self.n = x.shape[2], 2 * (spectrum.shape[-1] - 1)
        self.whole = spectrum.new_empty(size, x.shape[1], self.n, dtype=spectrum.real.dtype)
        self.whole[..., self.length :] = 0

    def spectra(self, part: Tensor) -> Tensor:
        """Return the spectra ``(b, H, n/2 + 1)`` of a part ``(b, H, L)``, padded."""
        padded = self.whole[: len(part)]
        padded[..., : self.length] = part
        made: Tensor = torch.fft.rfft(padded)
        return made

    def back(self, spectra: Tensor) -> Tensor:
        """Return the first L samples of ``(b, H, n/2 + 1)`` turned back."""
        made: Tensor = torch.fft.irfft(spectra, n=self.n)
        return made[..., : self.length]


def convolutions(x: Tensor, spectrum: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Convolve ``(B, H, L)`` with kernels given by their spectrum ``(H, n/2 + 1)``, by parts."""
    padded = Padded(x, spectrum)
    for part in parts(x):
        yield part, padded.back(padded.spectra(x[part]).mul_(spectrum))


class ConvolveGelu(Function):
    """GELU(x * kernel) of ``x (B, H, L)`` and a circular kernel ``(H, n)``, by FFT."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        """Save the convolution's result, not its transforms, which are twice as large."""
        spectrum = torch.fft.rfft(kernel)
        before, out = torch.empty_like(x), torch.empty_like(x)
        for part, value in convolutions(x, spectrum):
            before[part] = value
            GELU(before[part], out=out[part])
        ctx.save_for_backward(x, before, spectrum)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Correlate the gradient with the kernel, and with x."""
        x, before, spectrum = ctx.saved_tensors
        out, padded, conjugate = torch.empty_like(x), Padded(x, spectrum), spectrum.conj_physical()
        total = spectrum.new_zeros(len(padded.whole), *spectrum.shape)
        for part in parts(x):
            g = padded.spectra(torch.ops.aten.gelu_backward(gradient[part], before[part]))
            total[: len(g)].addcmul_(padded.spectra(x[part]).conj_physical_(), g)
            out[part] = padded.back(g.mul_(conjugate))
        return out, torch.fft.irfft(total.sum(0), n=padded.n)


def normalise(value: Tensor) -> Tensor:
    """Normalise ``(b, C, L)`` over the channels in place; return what it was multiplied by."""
    value -= value.mean(1, keepdim=True)
    scale = value.square().mean(1, keepdim=True).add_(EPSILON).rsqrt_()
    value *= scale
    return scale


class ResidualNorm(Function):
    """Layer norm over the channels of x + h; x, h ``(B, C, L)``, the others ``(C, 1)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, weight: Tensor, shift: Tensor) -> Tensor:
        """Save the normalised values and the deviations' reciprocals."""
        out, scales = torch.empty_like(x), x.new_empty(len(x), 1, x.shape[2])
        normal = torch.empty_like(x)
        for part in parts(x):
            value = torch.add(x[part], h[part], out=normal[part])
            scales[part] = normalise(value)
            torch.mul(value, weight, out=out[part]).add_(shift)
        ctx.save_for_backward(normal, scales, weight)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        """Differentiate through mean and deviation; x and h have the same gradient."""
        normal, scales, weight = ctx.saved_tensors
        out = torch.empty_like(normal)
        sums = [torch.zeros_like(weight) for _ in range(2)]
        for part in parts(normal):
            g, value = gradient[part], normal[part]
            product = g * value
            sums[0] += product.sum((0, 2))[:, None]
            sums[1] += g.sum((0, 2))[:, None]
            slope = product.mul_(weight).mean(1, keepdim=True)
            inner = torch.mul(g, weight, out=out[part])
            inner -= inner.mean(1, keepdim=True)
            inner.addcmul_(value, slope, value=-1).mul_(scales[part])
        return out, out, sums[0], sums[1]


class Gate(Function):
    """tanh(first half) * sigmoid(second half) of ``(B, 2C, L)`` along the channels."""

    @staticmethod
    def factors(x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is multiplied, for ``(b, 2C, L)``."""
        first, second = x.chunk(2, dim=1)
        return first.tanh(), second.sigmoid()

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Save the input: its factors cost less than the memory to keep them in."""
        batch, channels, length = x.shape
        out = x.new_empty(batch, channels // 2, length)
        for part in parts(x):
            torch.mul(*Gate.factors(x[part]), out=out[part])
        ctx.save_for_backward(x)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Differentiate each factor."""
        (x,) = ctx.saved_tensors
        out, rules = torch.empty_like(x), torch.ops.aten
        for part in parts(x):
            hyperbolic, logistic = Gate.factors(x[part])
            first, second = out[part].chunk(2, dim=1)
            g = gradient[part]
            rules.tanh_backward.grad_input(g * logistic, hyperbolic, grad_input=first)
            rules.sigmoid_backward.grad_input(g * hyperbolic, logistic, grad_input=second)
        return out


def apply(function: type[Function], *inputs: Tensor) -> Tensor:
    """Return a function's one output."""
    made: Tensor = function.apply(*inputs)  # type: ignore[no-untyped-call]  # torch's
    return made


def gate(x: Tensor) -> Tensor:
    """Return tanh(first half) * sigmoid(second half) along the channels."""
    return plain_operators.gate(x) if torch.compiler.is_exporting() else apply(Gate, x)


def mix(weight: Tensor, x: Tensor, bias: Tensor) -> Tensor:
    """Return ``(D, C)`` times every item of ``(B, C, L)`` plus ``(D, 1)``, as it lies in memory."""
    if torch.compiler.is_exporting():
        return plain_operators.mix(weight, x, bias)
    return torch.baddbmm(bias[None], weight.expand(len(x), -1, -1), x)


def mix_neighbours(weights: Tensor, x: Tensor, bias: Tensor) -> Tensor:
    """Add the products ``(3, D, C)`` of previous, own and next samples, zeros beyond the ends."""
    if torch.compiler.is_exporting():
        return plain_operators.mix_neighbours(weights, x, bias)
    out = mix(weights[1], x, bias)
    near, padded = weights.to(out.dtype), functional.pad(x.to(out.dtype), (1, 1))
    for shift in (0, 2):
        taken = padded[..., shift : shift + x.shape[2]]
        out = out.baddbmm_(near[shift].expand(len(x), -1, -1), taken)
    return out


def s4_layer(x: Tensor, spectrum: Tensor, mixing: Affine, norm: Affine) -> Tensor:
    """Return LayerNorm(x + W GELU(x * kernel) + b) without a gradient, each part to its end."""
    if torch.compiler.is_exporting():
        return plain_operators.s4_layer(x, spectrum, mixing, norm)
    out = torch.empty_like(x)
    for part, value in convolutions(x, spectrum):
        h = torch.bmm(mixing[0].expand(len(value), -1, -1), functional.gelu(value))
        made = torch.add(x[part], h, out=out[part]).add_(mixing[1])
        normalise(made)
        made.mul_(norm[0]).add_(norm[1])
    return out
