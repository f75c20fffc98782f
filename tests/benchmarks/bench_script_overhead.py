"""What watching a script costs: its steps watched over its steps as they are, interleaved.

Run by hand: ``python -P -m tests.benchmarks.bench_script_overhead [--blocks 20] [train.py ARGS]``,
a small script of its own, or another one in the folder that it is called from. Target: at most 20
us a step, 1 % of one of 2 ms. Every run is a process of its own, in a folder of its own, watched,
not watched, and not watched again, in random order: what the last two differ by is noise. Equal
steps do equal work: of each one the fastest of all blocks counts, which a busy machine delays
least.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
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
PLAIN = "plain"
ARMS = {PLAIN: False, "plain again": False, "watched": True}
"""Whether each is watched."""
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
            watched(Script(torch.device("cpu"), Recorder()), program)
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
    order, found = random.Random(0), dict[str, list[list[float]]]({arm: [] for arm in ARMS})
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(given.blocks):
            for arm in order.sample([*ARMS], len(ARMS)):
                program = _program(given.script, given.arguments, Path(scratch))
                found[arm].append(seconds_of(program, ARMS[arm], given.steps))
    for line in told(found):
        print(line)


def told(found: Mapping[str, Sequence[Sequence[float]]]) -> Iterator[str]:
    """Yield what each arm takes beside the plain one, of each block's steps in seconds."""
    best = {arm: sum(map(min, zip(*runs, strict=True))) for arm, runs in found.items()}
    steps = len(found[PLAIN][0])
    yield f"{steps} steps of {1e3 * best[PLAIN] / steps:.3f} ms in the mean"
    for arm in [arm for arm in best if arm != PLAIN]:
        pairs = zip(found[arm], found[PLAIN], strict=True)
        middle = median(sum(own) / sum(plain) for own, plain in pairs)
        yield (
            f"{arm} / {PLAIN}: {best[arm] / best[PLAIN]:.4f} "
            f"({1e6 * (best[arm] - best[PLAIN]) / steps:+.1f} us a step), each step's fastest of "
            f"all blocks; {middle:.4f}, median of {len(found[PLAIN])} blocks"
        )


def _program(script: Path | None, arguments: list[str], scratch: Path) -> Program:
    """Return what is run, in a folder that was made anew."""
    if script is None:
        (path := scratch / "small.py").write_text(SCRIPT)
        return Program(path, None, arguments, scratch)
    folder = mirrored(Path.cwd(), scratch / "folder").folder
    return Program(folder / script, None, arguments, folder)


if __name__ == "__main__":
    main()
