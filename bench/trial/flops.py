"""Count floating-point operations of one training step, and say what could not be counted.

The count is torch's `FlopCounterMode` with formulas of our own where it is silent or wrong: FFTs,
products added in place, fused attention on the CPU, the backward of grouped convolutions. 1 MAC = 2
FLOPs; pointwise work is left out, as everywhere in the field. `coverage` is the share of the
arithmetic-heavy operator calls that had a formula.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count, flop_registry

from bench.job import Job, Progress
from bench.records.measurement import FlopsCheck

aten = torch.ops.aten
Shape = Sequence[int]
HEAVY = ("mm", "conv", "linear", "fft", "attention", "lstm", "gru", "rnn", "bilinear", "cdist")
LIGHT = ("common", "fftshift", "conj", "conv_tbc_pad")
EQUAL_BATCHES = 3
"""So many equal counts in a row, and batches are taken to have one shape."""
MOST_BATCHES = 16
"""Counted where they differ (random crops, lengths)."""
VISITS = 4
"""Epochs looked at, evenly spread over the training, where batches may change with it."""


@dataclass(frozen=True, slots=True)
class FlopCount:
    """FLOPs of a training step and of a forward pass, with how much of the work was counted."""

    per_step: int
    forward_per_item: int
    coverage: float | None
    uncounted: tuple[str, ...]
    one_shape: bool
    """Whether all batches counted cost the same."""


def fft_flops(points: int, length: int, real: bool) -> int:
    """Return 5·N·log2(L) for complex transforms of N points in all, half for real ones."""
    full = 5 * points * max(1.0, math.log2(max(length, 2)))
    return int(full / 2 if real else full)


def _fft_c2c(shape: Shape, dim: Shape, *_: Any, **__: Any) -> int:
    return fft_flops(math.prod(shape), math.prod(shape[d] for d in dim), real=False)


def _fft_r2c(shape: Shape, dim: Shape, *_: Any, **__: Any) -> int:
    return fft_flops(math.prod(shape), math.prod(shape[d] for d in dim), real=True)


def _fft_c2r(shape: Shape, dim: Shape, normalization: int, last: int, *_: Any, **__: Any) -> int:
    full = [*shape]
    full[dim[-1]] = last
    return fft_flops(math.prod(full), math.prod(full[d] for d in dim), real=True)


def _cpu_sdpa(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """Count QK' and the product with V: (B, H, S, E) queries, (B, H, T, E) keys."""
    batches, heads, length, width = query
    return 2 * batches * heads * length * key[-2] * (width + value[-1])


def _cpu_sdpa_backward(
    grad: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any
) -> int:
    """Count the scores once more, and the two gradients of each of the two products."""
    batches, heads, length, width = query
    return 2 * batches * heads * length * key[-2] * (3 * width + 2 * value[-1])


def conv_backward(
    grad: Shape, x: Shape, weight: Shape, _bias: Any, _stride: Any,
    _padding: Any, _dilation: Any, transposed: bool, _out_padding: Any, groups: int,
    mask: Sequence[bool], out_shape: Any = None,
) -> int:  # fmt: skip
    """Return the FLOPs of the two gradients of a convolution, counting only within its groups.

    Each gradient costs what the forward does: the weight's shape already holds C_in / groups.
    """
    once = conv_flop_count(list(x), list(weight), list(grad), transposed=transposed)
    return int(once) * (int(mask[0]) + int(mask[1]))


def _lstm(x: Shape, weight_in: Shape, weight_hidden: Shape, *_: Any, **__: Any) -> int:
    return 2 * math.prod(x[:-1]) * (math.prod(weight_in) + math.prod(weight_hidden))


def _lstm_backward(x: Shape, weight_in: Shape, weight_hidden: Shape, *_: Any, **__: Any) -> int:
    return 2 * _lstm(x, weight_in, weight_hidden)


def _linear(x: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    return 2 * math.prod(x) * weight[0]


def _added_product(_onto: Shape, left: Shape, right: Shape, *_: Any, **__: Any) -> int:
    return 2 * math.prod(left) * right[-1]


OURS: dict[Any, Callable[..., int]] = {
    aten._fft_c2c: _fft_c2c,
    aten._fft_r2c: _fft_r2c,
    aten._fft_c2r: _fft_c2r,
    aten._scaled_dot_product_flash_attention_for_cpu: _cpu_sdpa,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _cpu_sdpa_backward,
    aten.convolution_backward: conv_backward,
    aten.addmm_: _added_product,
    aten.baddbmm_: _added_product,
    aten.mkldnn_linear: _linear,
    aten.mkldnn_rnn_layer: _lstm,
    aten.mkldnn_rnn_layer_backward: _lstm_backward,
}
if hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # only where torch was built with oneDNN
    OURS[torch.ops.mkldnn._linear_pointwise] = _linear


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts calls of arithmetic-heavy operators, with and without a formula."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counted = 0
        self.missed: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func._overloadpacket
        if packet in OURS or packet in flop_registry:
            self.counted += 1
        elif _is_heavy(func.__name__.split(".")[0]):
            self.missed[str(packet)] += 1
        return func(*args, **(kwargs or {}))

    @property
    def coverage(self) -> float | None:
        total = self.counted + sum(self.missed.values())
        return self.counted / total if total else None


def _is_heavy(name: str) -> bool:
    return any(word in name for word in HEAVY) and not any(word in name for word in LIGHT)


def count_flops(job: Job, seed: int = 0) -> FlopCount:
    """Count a step of `job`: the mean over its first batches.

    Where batches differ in shape give a fresh job: then recipes are counted on the same batches.
    Runs forward and backward passes for real; leaves gradients cleared and random state kept.
    """
    devices = [job.device] if job.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), _plain_attention():
        torch.manual_seed(seed)
        watch = _Watch()
        job.model.train()
        counts = list(_step_counts(job, watch))
        forward = forward_flops(job.model, job.sample(1), watch)
    mean, same = sum(counts) // len(counts), len(set(counts)) == 1
    return FlopCount(mean, forward, watch.coverage, tuple(sorted(watch.missed)), same)


def _step_counts(job: Job, watch: _Watch) -> Iterator[int]:
    """Count steps as the job makes them, but for the update of weights, which is pointwise."""
    counted, optimizer = replace(job, update=_clear), job.make_optimizer(job.model)
    for epoch, most in _visits(job):
        seen: list[int] = []
        while len(seen) < most:
            progress = Progress(job.epochs, epoch=epoch, epoch_losses=[0.0] * epoch)
            job.schedule(optimizer, progress)
            for batch in job.batches(progress):
                counter = _counter()
                with counter, watch:
                    job.step(counted, batch, optimizer, lambda phase: None)
                seen.append(int(counter.get_total_flops()))
                yield seen[-1]
                if len(seen) == most or (len(seen) == EQUAL_BATCHES and len(set(seen)) == 1):
                    break
            if len(seen) >= EQUAL_BATCHES and len(set(seen[:EQUAL_BATCHES])) == 1:
                break


def _visits(job: Job) -> list[tuple[int, int]]:
    """Return which epochs are looked at, and how many batches of each at most.

    The first alone, unless a technique changes batches or steps: then it may do so by the epoch.
    """
    if not {"batches", "step"} & job.taken.keys():
        return [(0, MOST_BATCHES)]
    return [(job.epochs * (2 * part + 1) // (2 * VISITS), 2) for part in range(VISITS)]


def _clear(optimizer: Optimizer) -> None:
    optimizer.zero_grad(set_to_none=True)


def forward_flops(model: nn.Module, inputs: tuple[Any, ...], watch: _Watch | None = None) -> int:
    """Count one forward pass in eval mode, without gradients."""
    counter, was_training = _counter(), model.training
    model.eval()
    with torch.no_grad(), _plain_attention(), counter, watch or _Watch():
        model(*inputs)
    model.train(was_training)
    return int(counter.get_total_flops())


def whole_forward_flops(model: nn.Module, inputs: tuple[Any, ...]) -> int | None:
    """Count one forward pass; None where some arithmetic has no formula (quantised operators)."""
    watch = _Watch()
    count = forward_flops(model, inputs, watch)
    return None if watch.missed else count


def cross_check(model: nn.Module, inputs: tuple[Any, ...]) -> FlopsCheck:
    """Count one forward pass by three counters, which miss different things."""
    was_training = model.training
    model.eval()
    try:
        ours = forward_flops(model, inputs)
        return FlopsCheck(ours=ours, fvcore=_by_fvcore(model, inputs), thop=_by_thop(model, inputs))
    finally:
        model.train(was_training)


def _by_fvcore(model: nn.Module, inputs: tuple[Any, ...]) -> int | None:
    from fvcore.nn import FlopCountAnalysis

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            analysis = FlopCountAnalysis(model, inputs)
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            return 2 * int(analysis.total())
        except (RuntimeError, TypeError, ValueError, KeyError, AttributeError):
            return None  # it traces with torch.jit, which many models don't survive


def _by_thop(model: nn.Module, inputs: tuple[Any, ...]) -> int | None:
    import thop

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:  # on a copy: thop leaves hooks and buffers behind
            macs, _ = thop.profile(copy.deepcopy(model), inputs=inputs, verbose=False)
        except (RuntimeError, TypeError, ValueError, AttributeError):
            return None
    return int(2 * macs)


def _counter() -> FlopCounterMode:
    return FlopCounterMode(display=False, custom_mapping=OURS)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Turn off the fused paths of nn.MultiheadAttention, which no counter sees into."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
