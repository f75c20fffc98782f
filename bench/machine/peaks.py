"""Measure the machine's ceilings: matrix products and a copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SIDE = 2048


COPY_BYTES = 256 * 1024**2


def peaks(device: str) -> dict[str, str]:
    """Measure matrix products and a copy: ceilings for what any technique can reach here."""
    import torch

    found = {
        f"{name} matrix product": f"{product_rate(device, dtype) / 1e12:.3f} TFLOP/s"
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    }
    source = torch.ones(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    seconds = _best(lambda: target.copy_(source), device)
    found["copy"] = f"{2 * COPY_BYTES / seconds / 1024**3:.1f} GiB/s (read + written)"
    return found


def product_rate(device: str, dtype: torch.dtype) -> float:
    """Return the FLOP/s of a large matrix product."""
    import torch

    left = torch.randn(SIDE, SIDE, device=device).to(dtype)
    right = torch.randn(SIDE, SIDE, device=device).to(dtype)
    return 2 * SIDE**3 / _best(lambda: left @ right, device)


def _best(work: Callable[[], object], device: str) -> float:
    import torch

    def once() -> float:
        begun = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    once()
    return min(once() for _ in range(7))
