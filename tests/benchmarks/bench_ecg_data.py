"""The data path of `ecg-cnn`: what memory it takes at any size, and how fast it is.

Run: ``python -m tests.benchmarks.bench_ecg_data [--records 400 4000] [--folder DIR]``. It makes
its own packs of synthetic records (12 x 15,000 samples; 360 kB a record), reads each once, in
shuffled batches of 8, a process of its own for each way. Targets: reading lazily adds at most
64 MB, whatever the number of records, and trains at 95 % or more of the throughput of training from
memory; for comparison, keeping all in memory and oversampling by copies, as a report did.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from baselines.ecg_cnn.network import Network, dense, features
from baselines.ecg_cnn.pack import Pack, load, write
from baselines.ecg_cnn.settings import NETWORKS
from baselines.ecg_cnn.synthetic import CLASSES, Synthetic
from bench.batches import first_size
from bench.data.prefetch import read_ahead
from bench.job import FixedItems, Progress
from bench.machine.memory import resident

LENGTH, BATCH, MB = 15_000, 8, 1e6
REPORT_BYTES = 21e9
COPIED = 0.9
Draw = Callable[[], Iterator[Any]]


def items_of(pack: Pack, eager: bool) -> FixedItems:
    """Return a pack's records as training items."""
    rows = torch.arange(len(pack))
    signals = torch.from_numpy(pack.read(rows.tolist(), LENGTH)) if eager else None

    def take(chosen: torch.Tensor) -> Any:
        if signals is not None:
            return signals[chosen]
        return torch.from_numpy(pack.read(chosen.tolist(), LENGTH))

    def order(progress: Progress) -> Any:
        random = torch.Generator().manual_seed(progress.epoch)
        return torch.split(torch.randperm(len(pack), generator=random), BATCH)

    return FixedItems(len(pack), order, take)


def growth(way: str, path: Path) -> None:
    """Print what an epoch of reading adds to this process's resident memory, and its seconds."""
    torch.set_num_threads(1)
    pack = load(path)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is resident now
    base = resident().now
    begun, seen = time.perf_counter(), 0.0
    items = oversampled(pack) if way == "copies" else items_of(pack, eager=way == "memory")
    for batch in items.batches(Progress(1)):
        seen += float(batch[0, 0, 0])
    seconds = time.perf_counter() - begun
    peak = resident().peak
    assert base is not None
    assert peak is not None
    added = peak - base
    data = len(pack) * 12 * LENGTH * 4
    print(
        f"{len(pack)} records, {way}: +{added / MB:.0f} MB, {added / data:.2f} x the"
        f" {data / MB:.0f} MB of the data as floats, {seconds / len(pack) * 1e3:.2f} ms a record",
        flush=True,
    )
    if way == "copies":
        print(
            f"  the report's {REPORT_BYTES / 1e9:.0f} GB / {added / data:.2f} ="
            f" {REPORT_BYTES * data / added / 1e9:.1f} GB of data (a projection), which lazily"
            " would take what is lazily taken above: that does not depend on the size",
            flush=True,
        )


def oversampled(pack: Pack) -> FixedItems:
    """Return items in memory and, as notebooks do it, nine tenths of them copied behind them."""
    rows = torch.arange(len(pack))
    signals = torch.from_numpy(pack.read(rows.tolist(), LENGTH))
    again = torch.arange(round(COPIED * len(pack)))
    whole = torch.cat([signals, signals[again]])
    return replace(items_of(pack, False), count=len(whole), take=lambda chosen: whole[chosen])


def throughput(path: Path, steps: int, blocks: int, threads: int) -> None:
    """Print the throughput of training lazily and ahead, as a share of that from memory."""
    torch.set_num_threads(threads)
    pack, switches = load(path), {k: v for k, v in NETWORKS["simple"].items() if k != "loss"}
    extra = switches.pop("extra_dense")
    encoder, channels = features(64, **switches)
    model = Network(encoder, dense(channels, CLASSES, extra))
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    eager, lazy = items_of(pack, True), items_of(pack, False)
    ways: dict[str, Draw] = {
        "memory": lambda: iter(eager.batches(Progress(1))),
        "lazy": lambda: iter(lazy.batches(Progress(1))),
        "lazy, a thread ahead": lambda: read_ahead(lazy, Progress(1)),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for block in range(blocks + 1):
        for name in list(ways)[:: 1 if block % 2 else -1]:
            begun, count = time.perf_counter(), 0
            for _, batch in zip(range(steps), ways[name](), strict=False):
                labels = torch.zeros(first_size(batch), CLASSES)
                loss = torch.nn.functional.binary_cross_entropy_with_logits(model(batch), labels)
                loss.backward()  # type: ignore[no-untyped-call]  # torch's
                optimizer.step()
                optimizer.zero_grad()
                count += first_size(batch)
            if block:  # the first is warm-up
                rates[name].append(count / (time.perf_counter() - begun))
    for name in ("lazy", "lazy, a thread ahead"):
        shares = [a / b for a, b in zip(rates[name], rates["memory"], strict=True)]
        print(
            f"training, {name}: {statistics.median(rates[name]):.2f} records/s,"
            f" {statistics.median(shares):.3f} of that from memory"
            f" ({min(shares):.3f} to {max(shares):.3f}, {blocks} blocks of {steps} steps)",
            flush=True,
        )


def main() -> None:
    """Make the packs, then measure each way in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, nargs="+", default=[400, 4000])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    fresh = multiprocessing.get_context("spawn")

    def alone(work: Callable[[], None]) -> None:
        process = fresh.Process(target=work)
        process.start()
        process.join()

    for count in options.records:
        path = options.folder / f"bench-ecg-{count}.h5"
        if not path.exists():
            write(Synthetic(count, LENGTH), path)
        ways = ("lazy", "memory", "copies") if count <= 1000 else ("lazy",)
        for way in ways:
            alone(partial(growth, way, path))
    first = options.folder / f"bench-ecg-{options.records[0]}.h5"
    alone(partial(throughput, first, options.steps, options.blocks, options.threads))


if __name__ == "__main__":
    main()
