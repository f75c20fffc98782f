"""Choose the device that trials run on, and tell what a CPU computes by itself."""

from __future__ import annotations

import platform

from bench.errors import BenchError
from bench.machine import environment


def choose_device(asked: str) -> str:
    """Return "cpu" or "cuda"; what was asked for is never replaced by another."""
    if asked == "cpu":
        return "cpu"
    if asked not in ("auto", "cuda"):
        raise BenchError(f'no device named "{asked}"; there are: auto, cpu, cuda')
    if asked == "auto" and not environment.gpus():
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "auto":
        return "cpu"
    raise BenchError("--device cuda: this torch sees no CUDA device; `bench doctor` says more")


def has_bf16() -> bool:
    """Tell whether this CPU computes in bfloat16 by instructions of its own, and may use them.

    oneDNN is asked too: it heeds ONEDNN_MAX_CPU_ISA. What is not x86 is not doubted.
    """
    import torch

    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(native and torch.ops.mkldnn._is_mkldnn_bf16_supported())
