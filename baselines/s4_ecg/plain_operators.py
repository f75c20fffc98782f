"""The stack's operators without parts and without memory of their own: what a graph is made of.

`operators` divides a batch by its size, which an exported graph for any number of items can't.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-5
Affine = tuple[Tensor, Tensor]
"""Factor and shift."""


def s4_layer(x: Tensor, spectrum: Tensor, mixing: Affine, norm: Affine) -> Tensor:
    """Return LayerNorm(x + W GELU(x * kernel) + b) of ``(B, H, L)``."""
    points = 2 * (spectrum.shape[-1] - 1)
    padded = functional.pad(x, (0, points - x.shape[2]))
    convolved = torch.fft.irfft(torch.fft.rfft(padded) * spectrum, n=points)[..., : x.shape[2]]
    summed = x + torch.matmul(mixing[0], functional.gelu(convolved)) + mixing[1]
    centred = summed - summed.mean(1, keepdim=True)
    scale = (centred.square().mean(1, keepdim=True) + EPSILON).rsqrt()
    return centred * scale * norm[0] + norm[1]


def gate(x: Tensor) -> Tensor:
    """Return tanh(first half) * sigmoid(second half) of ``(B, 2C, L)`` along the channels."""
    first, second = x.chunk(2, dim=1)
    return first.tanh() * second.sigmoid()


def mix(weight: Tensor, x: Tensor, bias: Tensor) -> Tensor:
    """Return ``(D, C)`` times every item of ``(B, C, L)`` plus ``(D, 1)``."""
    return torch.matmul(weight, x) + bias


def mix_neighbours(weights: Tensor, x: Tensor, bias: Tensor) -> Tensor:
    """Add the products ``(3, D, C)`` of previous, own and next samples, zeros beyond the ends."""
    return functional.conv1d(x, weights.permute(1, 2, 0), bias[:, 0], padding=1)
