"""What watching a script costs: its step watched over its step as it is, interleaved.

Run by hand: ``python -m tests.benchmarks.bench_script_overhead [--blocks 20]``. Target: at most
20 us a step, 1 % of one of 2 ms. One small script is run again and again in this process, watched
and not, in random order; of each block the fastest step counts, which a busy machine delays least.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from statistics import median

import torch

from bench.interception.events import Recorder
from bench.interception.program import Program, run, watched
from bench.interception.script import Script

SCRIPT = """
import json, sys, time
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
width, steps = int(sys.argv[1]), int(sys.argv[2])
data = TensorDataset(torch.randn(16 * steps, width), torch.randint(4, (16 * steps,)))
model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))
optimizer = torch.optim.SGD(model.parameters(), 0.01)
seconds, begun = [], time.perf_counter()
for x, y in DataLoader(data, 16):
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    seconds.append(time.perf_counter() - begun)
    begun = time.perf_counter()
json.dump(seconds, open(sys.argv[3], "w"))
"""


def fastest(program: Program, watch: bool) -> float:
    """Return the seconds of a script's fastest step, after those in which it is learnt."""
    if watch:
        watched(Script(torch.device("cpu"), Recorder()), program, None)
    else:
        run(program)
    return min(map(float, json.loads(Path(program.arguments[-1]).read_text())[10:]))


def main() -> None:
    """Print the cost of watching, in microseconds a step, and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    torch.set_num_threads(1)
    order, costs, ratios = random.Random(0), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.py"
        path.write_text(SCRIPT)
        arguments = [str(given.width), str(given.steps), str(Path(folder) / "seconds.json")]
        program = Program(path, None, arguments, Path(folder))
        fastest(program, watch=True)
        for _ in range(given.blocks):
            found = {watch: fastest(program, watch) for watch in order.sample([True, False], 2)}
            costs.append(1e6 * (found[True] - found[False]))
            ratios.append(found[True] / found[False])
    print(f"watched - plain: median {median(costs):.1f} us a step, least {min(costs):.1f}")
    print(f"watched / plain: median {median(ratios):.4f}, over {given.blocks} blocks")


if __name__ == "__main__":
    main()
