"""The stack's operators on ``(B, C, L)``: few passes over memory, few items of a batch at a time.

On a CPU each works through a batch in parts of about a MiB, so that what one pass writes the next
one reads from the cache; the backward passes are written out for the same reason. In batches
of one size, an item's result doesn't depend on the others, nor on its place among them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

PART = 2**18
"""Numbers of a tensor that are worked on at a time, on a CPU."""
EPSILON = 1e-5
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


def convolve(x: Tensor, spectrum: Tensor) -> Tensor:
    """Convolve ``(B, H, L)`` with kernels given by their spectrum ``(H, n/2 + 1)``."""
    n = 2 * (spectrum.shape[-1] - 1)
    made: Tensor = torch.fft.irfft(torch.fft.rfft(x, n=n).mul_(spectrum), n=n)
    return made[..., : x.shape[-1]]


def convolve_gelu(x: Tensor, spectrum: Tensor) -> Tensor:
    """Return GELU(convolution), without a gradient."""
    out = torch.empty_like(x)
    for part in parts(x):
        GELU(convolve(x[part], spectrum), out=out[part])
    return out


class ConvolveGelu(Function):
    """GELU(x * kernel) of ``x (B, H, L)`` and a circular kernel ``(H, n)``, by FFT."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        """Save the convolution's result, not its transforms, which are twice as large."""
        spectrum = torch.fft.rfft(kernel)
        before, out = torch.empty_like(x), torch.empty_like(x)
        for part in parts(x):
            before[part] = convolve(x[part], spectrum)
            GELU(before[part], out=out[part])
        ctx.save_for_backward(x, before, spectrum)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Correlate the gradient with the kernel, and with x."""
        x, before, spectrum = ctx.saved_tensors
        n, length = 2 * (spectrum.shape[-1] - 1), x.shape[-1]
        conjugate, total = spectrum.conj().resolve_conj(), torch.zeros_like(spectrum)
        out = torch.empty_like(x)
        for part in parts(x):
            inner = torch.ops.aten.gelu_backward(gradient[part], before[part])
            g = torch.fft.rfft(inner, n=n)
            total += torch.fft.rfft(x[part], n=n).conj_physical_().mul_(g).sum(0)
            out[part] = torch.fft.irfft(g.mul_(conjugate), n=n)[..., :length]
        return out, torch.fft.irfft(total, n=n)


class ResidualNorm(Function):
    """Layer norm over the channels of x + h + bias; x, h ``(B, C, L)``, the others ``(C, 1)``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, bias: Tensor, weight: Tensor, shift: Tensor
    ) -> Tensor:
        """Save the normalised values and the deviations' reciprocals."""
        needed = any(ctx.needs_input_grad)
        out, scales = torch.empty_like(x), x.new_empty(len(x), 1, x.shape[2])
        normal = torch.empty_like(x) if needed else out
        for part in parts(x):
            value = torch.add(x[part], h[part], out=normal[part]).add_(bias)
            value -= value.mean(1, keepdim=True)
            scale = scales[part]
            scale.copy_(value.square().mean(1, keepdim=True).add_(EPSILON).rsqrt_())
            torch.mul(value.mul_(scale), weight, out=out[part]).add_(shift)
        if needed:
            ctx.save_for_backward(normal, scales, weight)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        """Differentiate through mean and deviation; x and h have the same gradient."""
        normal, scales, weight = ctx.saved_tensors
        out = torch.empty_like(normal)
        sums = [torch.zeros_like(weight) for _ in range(3)]
        for part in parts(normal):
            g, value = gradient[part], normal[part]
            product = g * value
            sums[1] += product.sum((0, 2))[:, None]
            sums[2] += g.sum((0, 2))[:, None]
            slope = product.mul_(weight).mean(1, keepdim=True)
            inner = torch.mul(g, weight, out=out[part])
            inner -= inner.mean(1, keepdim=True)
            inner -= torch.mul(value, slope, out=product)
            inner *= scales[part]
            sums[0] += inner.sum((0, 2))[:, None]
        return out, out, sums[0], sums[1], sums[2]


class Gate(Function):
    """tanh(first half) * sigmoid(second half) of ``(B, 2C, L)`` along the channels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Take tanh from sigmoid, tanh(a) = 2 sigmoid(2a) - 1, which is vectorised better."""
        batch, channels, length = x.shape
        out = x.new_empty(batch, channels // 2, length)
        needed = ctx.needs_input_grad[0]
        saved = torch.empty_like(x) if needed else None
        for part in parts(x):
            first, second = x[part].chunk(2, dim=1)
            hyperbolic = (2 * first).sigmoid_().mul_(2).sub_(1)
            logistic = second.sigmoid()
            torch.mul(hyperbolic, logistic, out=out[part])
            if saved is not None:
                torch.cat((hyperbolic, logistic), dim=1, out=saved[part])
        if saved is not None:
            ctx.save_for_backward(saved)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Use the derivatives 1 - tanh^2 and sigmoid (1 - sigmoid)."""
        (saved,) = ctx.saved_tensors
        out = torch.empty_like(saved)
        for part in parts(saved):
            hyperbolic, logistic = saved[part].chunk(2, dim=1)
            first, second = out[part].chunk(2, dim=1)
            product = gradient[part] * logistic
            torch.mul(product, hyperbolic, out=second).mul_(1 - logistic)
            torch.mul(product, 1 - hyperbolic.square(), out=first)
        return out


def apply(function: type[Function], *inputs: Tensor) -> Tensor:
    """Return a function's one output."""
    made: Tensor = function.apply(*inputs)  # type: ignore[no-untyped-call]  # torch's
    return made


def mix(weight: Tensor, x: Tensor) -> Tensor:
    """Return the product of ``(D, C)`` with every item of ``(B, C, L)``, as it lies in memory."""
    return torch.bmm(weight.expand(len(x), -1, -1), x)


def neighbours(x: Tensor) -> Tensor:
    """Return previous, own and next samples ``(B, 3C, L)``, zeros beyond the ends."""
    padded, length = functional.pad(x, (1, 1)), x.shape[2]
    return torch.cat([padded[..., shift : shift + length] for shift in range(3)], dim=1)
