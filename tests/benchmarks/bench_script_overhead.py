"""What watching a script costs: its steps watched over its steps as they are, interleaved.

Run by hand: ``python -P -m tests.benchmarks.bench_script_overhead [--blocks 20] [train.py ARGS]``,
a small script of its own, or another one in the folder that it is called from. Target: at most 20
us a step, 1 % of one of 2 ms. Every run is a process of its own, in a folder of its own, watched or
not in random order. Equal steps do equal work: of each one the fastest of all blocks counts, which
a busy machine delays least.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from bench.interception.events import Recorder
from bench.interception.folder import mirrored
from bench.interception.program import Program, run, watched
from bench.interception.script import Ended, Script
from bench.random_state import seed_everything

SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
data = TensorDataset(torch.randn(16 * 400, 64), torch.randint(4, (16 * 400,)))
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
optimizer = torch.optim.SGD(model.parameters(), 0.01)
for _ in range(100):
    for x, y in DataLoader(data, 16):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
LEARNT = 10
"""Steps that don't count: in the first ones it is learnt what the script calls."""


def seconds_of(program: Program, watch: bool, steps: int) -> list[float]:
    """Return the seconds of a script's steps, but for those in which it is learnt."""
    ours, theirs = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=_run, args=(program, watch, steps, theirs)
    )
    process.start()
    theirs.close()
    found: list[float] = ours.recv()
    process.join()
    return found


def _run(program: Program, watch: bool, steps: int, found: Connection) -> None:
    """Run a program for some steps in a process that was made for it; send what each took."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    ends: list[float] = []
    register_optimizer_step_post_hook(_noting(ends, LEARNT + steps + 1))
    seed_everything(0)
    os.chdir(program.folder)
    with contextlib.suppress(Ended, SystemExit):
        if watch:
            watched(Script(torch.device("cpu"), Recorder()), program, None)
        else:
            run(program)
    found.send([after - before for before, after in itertools.pairwise(ends[LEARNT:])])


def _noting(ends: list[float], most: int) -> Callable[[Optimizer, object, object], None]:
    """Return a hook that notes when the optimizer that stepped first has stepped, and ends it."""
    first: list[int] = []

    def note(optimizer: Optimizer, args: object, kwargs: object) -> None:
        first.append(id(optimizer))
        if id(optimizer) == first[0]:
            ends.append(time.perf_counter())
            if len(ends) == most:
                raise Ended

    return note


def main() -> None:
    """Print the cost of watching, in microseconds a step, and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("script", nargs="?", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    order, found = random.Random(0), dict[bool, list[list[float]]]({True: [], False: []})
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(given.blocks):
            for watch in order.sample([True, False], 2):
                program = _program(given.script, given.arguments, Path(scratch))
                found[watch].append(seconds_of(program, watch, given.steps))
    own, plain = (list(map(min, zip(*found[watch], strict=True))) for watch in (True, False))
    ratios = [sum(a) / sum(b) for a, b in zip(found[True], found[False], strict=True)]
    print(f"{len(plain)} steps of {1e3 * sum(plain) / len(plain):.3f} ms in the mean")
    print(f"watched - plain: {1e6 * (sum(own) - sum(plain)) / len(plain):.1f} us a step")
    print(f"watched / plain: {sum(own) / sum(plain):.4f}, each step's fastest of all blocks")
    print(f"watched / plain: {median(ratios):.4f}, median of {given.blocks} blocks")


def _program(script: Path | None, arguments: list[str], scratch: Path) -> Program:
    """Return what is run, in a folder that was made anew."""
    if script is None:
        (path := scratch / "small.py").write_text(SCRIPT)
        return Program(path, None, arguments, scratch)
    folder = mirrored(Path.cwd(), scratch / "folder").folder
    return Program(folder / script, None, arguments, folder)


if __name__ == "__main__":
    main()
