"""Our S4 step, the published one's and the floor, interleaved in one process.

Run: ``python -m tests.benchmarks.bench_s4_step [--size optimized initial] [--mode frozen full]``.
CPU seconds of all threads, and wall seconds. Both networks have the same weights and see the same
batch. The floor is what the arithmetic of our step costs by itself: its matrix products, its FFTs
and one pass for each pointwise operation, on memory that is there already; three times the
products, twice and a half the FFTs and pointwise passes where everything trains. Peak memory is
that of a process of its own for each arm, above its start.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from baselines.s4_ecg.network import Classifier, Encoder
from baselines.s4_ecg.operators import transform_length
from baselines.s4_ecg.settings import SIZES
from bench.machine.memory import resident
from bench.model.freezing import freeze
from optimizers.allocator import M_MMAP_MAX, M_TOP_PAD, M_TRIM_THRESHOLD, MIB, NEVER
from tests.reference.s4_ecg import PublishedClassifier

LEADS, LENGTH, CLASSES = 8, 1000, 5
Step = Callable[[], None]
Cost = tuple[float, float]
ARMS = ("ours", "published", "floor")


def networks(size: str, mode: str, kernel: str, layers: int | None) -> tuple[nn.Module, nn.Module]:
    """Return ours and the published one with the same weights; s4d has no published twin here."""
    sizes = SIZES[size]
    residual, skip = sizes["residual"], sizes["skip"]
    torch.manual_seed(0)
    encoder = Encoder(LEADS, LENGTH, layers or sizes["layers"], residual, skip, kernel)
    ours = Classifier(encoder, skip, CLASSES)
    published = PublishedClassifier(ours, LEADS, LENGTH, residual, skip)
    if mode == "frozen":
        freeze(ours.encoder)
        freeze(published.encoder)
    return ours, published


def training_step(model: nn.Module, batch: int) -> Step:
    """Return one whole step on a fixed batch."""
    model.train()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, fused=True)
    x, y = torch.randn(batch, LEADS, LENGTH), torch.rand(batch, CLASSES).round()

    def step() -> None:
        functional.binary_cross_entropy_with_logits(model(x), y).backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def floor_step(size: str, mode: str, layers: int | None) -> Step:
    """Return the arithmetic alone: products, FFTs and pointwise passes, item by item."""
    sizes = SIZES[size]
    r, batch, count = sizes["residual"], sizes["batch_size"], layers or sizes["layers"]
    wide, n = 2 * r, transform_length(LENGTH)
    products, others = (1, 2) if mode == "frozen" else (3, 5)  # the others in halves
    x3, w3 = torch.randn(3 * r, LENGTH), torch.randn(wide, 3 * r)
    x2, w2, x1, w1 = torch.randn(wide, LENGTH), torch.randn(wide, wide), x3[:r], torch.randn(r, r)
    out2, out1 = torch.empty(wide, LENGTH), torch.empty(r, LENGTH)
    padded, spectrum = torch.randn(wide, n), torch.randn(wide, n // 2 + 1, dtype=torch.complex64)
    turned, back = torch.empty_like(spectrum), torch.empty(wide, n)
    row, column = torch.rand(1, LENGTH), torch.rand(wide, 1)

    def layer() -> None:
        torch.fft.rfft(padded, out=turned)
        turned.mul_(spectrum)
        torch.fft.irfft(turned, n=n, out=back)
        torch.ops.aten.gelu.out(back[:, :LENGTH], out=out2)
        torch.add(x2, out2, out=out2).sub_(out2.mean(0)).mul_(row).mul_(column).add_(column)

    def item() -> None:
        for _ in range(products):
            torch.mm(w3, x3, out=out2)
            torch.mm(w2, x2, out=out2)
            torch.mm(w2, x2, out=out2)
            torch.mm(w1, x1, out=out1)
        for _ in range(others):
            layer()
        for _ in range(others // 2):
            out1.copy_(x1).sigmoid_().mul_(x2[r:].sigmoid()).add_(x1)

    def step() -> None:
        with torch.no_grad():
            for _ in range(count * batch):
                item()

    return step


def steps_of(options: argparse.Namespace, size: str, mode: str) -> dict[str, Step]:
    """Return the step of every arm."""
    ours, published = networks(size, mode, options.kernel, options.layers)
    batch = SIZES[size]["batch_size"]
    return {
        "ours": training_step(ours, batch),
        "published": training_step(published, batch),
        "floor": floor_step(size, mode, options.layers),
    }


def cost(step: Step) -> Cost:
    """Return CPU and wall seconds of one step."""
    cpu, wall = time.process_time(), time.perf_counter()
    step()
    return time.process_time() - cpu, time.perf_counter() - wall


def compare(options: argparse.Namespace, size: str, mode: str) -> None:
    """Print one line a pair of size and mode."""
    steps = steps_of(options, size, mode)
    for step in steps.values():
        step()
    costs: dict[str, list[Cost]] = {name: [] for name in steps}
    for block in range(options.blocks):
        order = ARMS if block % 2 == 0 else ARMS[::-1]
        for name in order:
            costs[name].append(cost(steps[name]))
    cpu = {name: statistics.median(c for c, _ in values) for name, values in costs.items()}
    wall = {name: statistics.median(w for _, w in values) for name, values in costs.items()}
    pairs = list(zip(*(costs[name] for name in ARMS), strict=True))
    faster = [theirs[0] / mine[0] for mine, theirs, _ in pairs]
    above = [mine[0] / least[0] for mine, _, least in pairs]
    each = ", ".join(f"{name} {cpu[name]:.2f} CPU-s {wall[name]:.2f} s" for name in ARMS)
    print(
        f"{size} {mode}: {each}; published / ours {statistics.median(faster):.2f}"
        f" ({min(faster):.2f} to {max(faster):.2f}); ours / floor {statistics.median(above):.2f}"
        f" ({min(above):.2f} to {max(above):.2f})",
        flush=True,
    )


def peak(options: argparse.Namespace, size: str, mode: str, arm: str) -> None:
    """Print how much one step of an arm adds to this process's resident memory."""
    torch.set_num_threads(options.threads)
    step = steps_of(options, size, mode)[arm]
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is resident now
    before = resident().now
    step()
    peak_bytes = resident().peak
    assert before is not None
    assert peak_bytes is not None
    added = (peak_bytes - before) / 1024**3
    print(f"{size} {mode} {arm}: a step adds {added:.2f} GiB", flush=True)


def tune_allocator() -> None:
    """Set what the technique `allocator` sets."""
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    for name, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, 64 * MIB)):
        assert mallopt(name, value) == 1


def main() -> None:
    """Compare each size in each mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", nargs="+", default=["optimized", "initial"])
    parser.add_argument("--mode", nargs="+", default=["frozen", "full"])
    parser.add_argument("--kernel", default="nplr")
    parser.add_argument("--layers", type=int, help="fewer than the size has")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tuned", action="store_true", help="with the C allocator tuned")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.tuned:
        tune_allocator()
    fresh = multiprocessing.get_context("spawn")
    for size in options.size:
        for mode in options.mode:
            if not options.memory:
                compare(options, size, mode)
                continue
            for arm in ARMS[:2]:
                process = fresh.Process(target=partial(peak, options, size, mode, arm))
                process.start()
                process.join()


if __name__ == "__main__":
    main()
