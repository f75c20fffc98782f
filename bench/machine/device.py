"""Choose the device that trials run on."""

from __future__ import annotations

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
