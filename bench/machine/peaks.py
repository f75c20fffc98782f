"""Measure the machine's ceilings: matrix products and a copy."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SIDES = (256, 512, 1024, 2048)
"""Of square matrices: the largest whose product takes less than `LONG`."""
LONG, ENOUGH = 0.3, 1.0
"""Seconds of one product or copy from which on none larger is tried, and of all together."""
REPEATS = 7
COPY_BYTES = 256 * 1024**2


def peaks(device: str) -> dict[str, str]:
    """Measure matrix products and a copy: ceilings for what any technique can reach here."""
    import torch

    found = {
        f"{name} matrix product": rate(product_rate(device, dtype))
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    }
    source = torch.ones(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    seconds = _best(lambda: target.copy_(source), device)
    found["copy"] = f"{2 * COPY_BYTES / seconds / 1024**3:.1f} GiB/s (read + written)"
    return found


def rate(flops: float) -> str:
    """Return FLOP/s with three digits, whatever their size."""
    for size, unit in ((1e12, "TFLOP/s"), (1e9, "GFLOP/s")):
        if flops >= size:
            return f"{flops / size:.3g} {unit}"
    return f"{flops / 1e6:.3g} MFLOP/s"


def product_rate(device: str, dtype: torch.dtype) -> float:
    """Return the FLOP/s of a matrix product, as large as this machine makes one in a moment.

    Arithmetic that the processor has no instructions for is ten times as slow: it gets no larger.
    """
    import torch

    found = 0.0
    for side in SIDES:
        left = torch.randn(side, side, device=device).to(dtype)
        right = torch.randn(side, side, device=device).to(dtype)
        seconds = _best(functools.partial(torch.matmul, left, right), device)
        found = 2 * side**3 / seconds
        if seconds > LONG:  # the next one takes eight times as long
            break
    return found


def _best(work: Callable[[], object], device: str) -> float:
    import torch

    def once() -> float:
        begun = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    first = once()  # what is made ready once is left out, unless it is all that there is time for
    found = [first] if first > ENOUGH else []
    begun = time.perf_counter()
    while not found or (len(found) < REPEATS and time.perf_counter() - begun < ENOUGH):
        found.append(once())
    return min(found)
