"""FLOPs of one call of each operator that multiplies and adds, from its arguments and its output.

1 MAC = 2 FLOPs, 8 of complex numbers. Of a sparse operand only what it stores is multiplied. A
formula gives None where a call can't be counted: a product of two sparse matrices, say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Formula = Callable[..., int | None]
"""Called with the output and then the operator's own arguments."""

aten = torch.ops.aten
BILINEAR, BICUBIC = 0, 2
"""Interpolation modes of `grid_sampler_2d`."""
MAXIMUM = 2
"""The mode of an embedding bag that adds nothing up."""


def macs_to_flops(macs: float, *operands: Tensor) -> int:
    """Return two FLOPs for a multiplication with its addition, eight where they are complex."""
    return int(macs) * (8 if any(each.is_complex() for each in operands) else 2)


def fft_flops(points: int, length: int, real: bool) -> int:
    """Return 5·N·log2(L) for complex transforms of N points in all, half for real ones."""
    full = 5 * points * max(1.0, math.log2(max(length, 2)))
    return int(full / 2 if real else full)


def product(left: Tensor, right: Tensor) -> int | None:
    """Count a product of matrices, or batches of them, ``(..., n, k)`` and ``(..., k, m)``."""
    sparse = [each.layout not in (torch.strided, torch._mkldnn) for each in (left, right)]  # type: ignore[attr-defined]  # torch's stubs lack it
    columns = right.shape[-1] if right.dim() > 1 else 1
    if all(sparse):
        return None
    if sparse[1]:
        return macs_to_flops(left.shape[-2] * _stored(right), left, right)
    return macs_to_flops(_stored(left) * columns, left, right)


def convolution(out: Tensor, x: Tensor, weight: Tensor, transposed: bool = False) -> int:
    """Count each weight once a position: of the output, or of the input where it is transposed.

    The weight ``(C_out, C_in / groups, ...)`` holds within its groups only.
    """
    positions = x if transposed else out
    return macs_to_flops(len(x) * math.prod(positions.shape[2:]) * weight.numel(), x, weight)


def _stored(matrix: Tensor) -> int:
    """Return how many numbers a matrix stores: of a sparse one its non-zeros (whole blocks)."""
    if matrix.layout is torch.sparse_coo:
        return matrix._values().numel()
    compressed = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)
    return matrix.values().numel() if matrix.layout in compressed else matrix.numel()


def plain_product(
    _out: object, left: Tensor, right: Tensor, *_: object, **__: object
) -> int | None:
    """Count a product of two operands."""
    return product(left, right)


def added(
    _out: object, _onto: Tensor, left: Tensor, right: Tensor, *_: object, **__: object
) -> int | None:
    """Count a product that is added to something."""
    return product(left, right)


def vectors(_out: object, left: Tensor, right: Tensor, *_: object, **__: object) -> int:
    """Count a dot product."""
    return macs_to_flops(left.numel(), left, right)


def added_outer(
    _out: object, _onto: Tensor, left: Tensor, right: Tensor, *_: object, **__: object
) -> int:
    """Count an outer product that is added to a matrix."""
    return macs_to_flops(left.numel() * right.numel(), left, right)


def linear(out: Tensor, x: Tensor, *_: object, **__: object) -> int:
    """Count by the output: packed weights don't tell their shape."""
    return macs_to_flops(x.numel() * out.shape[-1], x)


def grouped(_out: object, left: Tensor, right: Tensor, *_: object, **__: object) -> int:
    """Count products of groups of rows, of columns or of what is summed, or of whole matrices."""
    groups = len(left) if left.dim() == right.dim() == 3 else 1
    return macs_to_flops(groups * math.prod(left.shape[-2:]) * right.shape[-1], left)


def sampled(_out: object, onto: Tensor, left: Tensor, *_: object, **__: object) -> int:
    """Count a dot product for each non-zero of what is added to."""
    return macs_to_flops(_stored(onto) * left.shape[-1], left)


def reduced(_out: object, matrix: Tensor, dense: Tensor, *_: object, **__: object) -> int:
    """Count a sparse product whose rows are summed, averaged or compared."""
    return macs_to_flops(_stored(matrix) * dense.shape[-1], dense)


def reduced_backward(
    _out: object, matrix: Tensor, grad: Tensor, _weight: object, _reduce: object, _arg: object,
    mask: Sequence[bool],
) -> int:  # fmt: skip
    """Count the gradients that are wanted of `reduced`."""
    return reduced(None, matrix, grad) * sum(map(int, mask))


def three(
    _out: object, one: Tensor, two: Tensor, three: Tensor, expand1: Sequence[int],
    expand2: Sequence[int], expand3: Sequence[int], summed: Sequence[int], *_: object, **__: object,
) -> int:  # fmt: skip
    """Count `_trilinear`, of which `bilinear` is made: a product of two, then with the third."""
    sizes = [1] * (one.dim() + len(expand1))
    for tensor, missing in ((one, expand1), (two, expand2), (three, expand3)):
        present = (dim for dim in range(len(sizes)) if dim not in missing)
        for dim, size in zip(present, tensor.shape, strict=True):
            sizes[dim] = max(sizes[dim], size)
    first = math.prod(sizes)
    gone = math.prod(sizes[dim] for dim in summed if dim in expand3)
    return macs_to_flops(first + first // max(1, gone), one)


def any_convolution(
    out: Tensor, x: Tensor, weight: Tensor, _bias: object = None, _stride: object = None,
    _padding: object = None, _dilation: object = None, transposed: bool = False, *_: object,
    **__: object,
) -> int:  # fmt: skip
    """Count a convolution that says itself whether it is transposed."""
    return convolution(out, x, weight, transposed)


def straight(out: Tensor, x: Tensor, weight: Tensor, *_: object, **__: object) -> int:
    """Count a convolution."""
    return convolution(out, x, weight)


def turned(out: Tensor, x: Tensor, weight: Tensor, *_: object, **__: object) -> int:
    """Count a transposed convolution."""
    return convolution(out, x, weight, transposed=True)


def time_first(out: Tensor, x: Tensor, weight: Tensor, *_: object, **__: object) -> int:
    """Count `conv_tbc`: ``(T, B, C_in)`` by a weight ``(K, C_in, C_out)``."""
    return macs_to_flops(math.prod(out.shape[:2]) * weight.numel(), x)


def convolution_backward(
    _out: object, grad: Tensor, x: Tensor, weight: Tensor, _bias: object, _stride: object,
    _padding: object, _dilation: object, transposed: bool, _out_padding: object, _groups: int,
    mask: Sequence[bool],
) -> int:  # fmt: skip
    """Count the gradients of the input and of the weight: each costs what the forward does."""
    return convolution(grad, x, weight, transposed) * (int(mask[0]) + int(mask[1]))


def attention(
    _out: object, query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object
) -> int:
    """Count QK' and the product with V: (B, H, S, E) queries; keys may have fewer heads."""
    return macs_to_flops(
        query[..., 0].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])
    )


def attention_backward(
    _out: object, _grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object
) -> int:
    """Count the scores once more, and the two gradients of each of the two products."""
    width = 3 * query.shape[-1] + 2 * value.shape[-1]
    return macs_to_flops(query[..., 0].numel() * key.shape[-2] * width)


def recurrent(
    _out: object, x: Tensor, weight_in: Tensor, weight_hidden: Tensor, *_: object, **__: object
) -> int:
    """Count one layer and direction of a recurrent network."""
    return macs_to_flops(math.prod(x.shape[:-1]) * (weight_in.numel() + weight_hidden.numel()))


def recurrent_stack(
    _out: object, x: Tensor, weights: Sequence[Tensor], *_: object, **__: object
) -> int:
    """Count each weight matrix of all layers and directions once a time step and item."""
    matrices = sum(weight.numel() for weight in weights if weight.dim() > 1)
    return macs_to_flops(math.prod(x.shape[:-1]) * matrices)


def twice(formula: Formula) -> Formula:
    """Count a backward pass that makes two products for each of the forward's."""

    def both(*args: object, **kwargs: object) -> int | None:
        once = formula(*args, **kwargs)
        return None if once is None else 2 * once

    return both


def fft_c2c(_out: object, x: Tensor, dim: Sequence[int], *_: object, **__: object) -> int:
    """Count a transform of complex numbers."""
    return fft_flops(x.numel(), math.prod(x.shape[d] for d in dim), real=False)


def fft_r2c(_out: object, x: Tensor, dim: Sequence[int], *_: object, **__: object) -> int:
    """Count a transform of real numbers."""
    return fft_flops(x.numel(), math.prod(x.shape[d] for d in dim), real=True)


def fft_c2r(out: Tensor, _x: Tensor, dim: Sequence[int], *_: object, **__: object) -> int:
    """Count a transform to real numbers."""
    return fft_flops(out.numel(), math.prod(out.shape[d] for d in dim), real=True)


def bag(
    _out: object, weight: Tensor, indices: Tensor, _offsets: object, _scale: bool = False,
    mode: int = 0, *_: object, **__: object,
) -> int:  # fmt: skip
    """Count a product with the sparse matrix that chooses rows and adds them up."""
    return 0 if mode == MAXIMUM else macs_to_flops(indices.numel() * weight.shape[-1])


def bag_backward(_out: object, grad: Tensor, indices: Tensor, *_: object, **__: object) -> int:
    """Count the gradient of an embedding bag's rows."""
    return macs_to_flops(indices.numel() * grad.shape[-1])


def bag_weights_backward(
    _out: object, grad: Tensor, _weight: Tensor, indices: Tensor, *_: object, **__: object
) -> int:
    """Count the gradient of an embedding bag's weights of items."""
    return macs_to_flops(indices.numel() * grad.shape[-1])


def interpolated(taps: int) -> tuple[Formula, Formula]:
    """Return the formulas of a resizing, forward and backward: so many inputs for each output."""

    def forward(out: Tensor, *_: object, **__: object) -> int:
        return macs_to_flops(taps * out.numel())

    def backward(_out: object, grad: Tensor, *_: object, **__: object) -> int:
        return macs_to_flops(taps * grad.numel())

    return forward, backward


def grid(out: Tensor, _x: Tensor, _where: Tensor, mode: int = 0, *_: object, **__: object) -> int:
    """Count the mixing of neighbours where a grid samples."""
    return macs_to_flops(_taps(mode, out.dim() - 2) * out.numel())


def grid_backward(
    _out: object, grad: Tensor, _x: Tensor, _where: Tensor, mode: int, _padding: int, _align: bool,
    mask: Sequence[bool],
) -> int:  # fmt: skip
    """Count the gradients that are wanted of `grid`."""
    once = macs_to_flops(_taps(mode, grad.dim() - 2) * grad.numel())
    return once * sum(map(int, mask))


def _taps(mode: int, dims: int) -> int:
    """Return of how many neighbours a sample is mixed: the nearest one is only copied."""
    taps = {BILINEAR: 2, BICUBIC: 4}.get(mode, 0)
    return int(taps**dims) if taps else 0


def affine_grid(out: Tensor, theta: Tensor, *_: object, **__: object) -> int:
    """Count the product that makes a grid of an affine map."""
    return macs_to_flops(out.numel() * theta.shape[-1])
