"""What single test items add to the verdict on a metric: errors and pairs, on simulated models.

Run by hand: ``python -m tests.benchmarks.bench_item_verdicts [--runs 4000]``. Targets, of the
margin 0.01 at looks after 4 to 30 pairs: of a loss of just the margin 3 to 8 % kept where there are
345 to 624 items, of 1.5 margins at most 3 % everywhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bench.analysis.estimate import Counts
from bench.analysis.items import FEWEST, LARGEST, Items, Way
from bench.analysis.levels import Rule
from bench.analysis.sequential import Answer, Objective, Quality, answers
from tests.property.noise import item_changes

MARGIN = 0.01
SEQUENTIAL = Rule()
LOSSES = (0.0, MARGIN, 1.5 * MARGIN)


class Models(NamedTuple):
    """Pairs of models: test items, how many flip each way, and what seeds add (SD)."""

    items: int
    flips: float
    seeds: float = 0.0


def judged(
    models: Models, loss: float, way: Way | None, runs: int, rule: Rule = SEQUENTIAL
) -> tuple[Counts, Counts]:
    """Return what is answered of arms that are surely smaller, and after how many pairs."""
    random = np.random.default_rng(20261128)
    differences, squares = item_changes(
        random, runs, loss, models.flips, models.items, models.seeds, rule.most
    )
    items = None if way is None else Items(models.items, squares, way)
    quality = Quality(differences, MARGIN, 0.5 / models.items, items=items)
    small = Objective("file size", np.full(differences.shape, np.log(2.0)), deterministic=True)
    given, after = answers([small], quality, rule)
    return given, np.where(given == Answer.OPEN, rule.most, after)


def row(models: Models, way: Way | None, runs: int) -> str:
    """Return the shares kept at no loss, the margin and 1.5 of it, and pairs where nothing is."""
    found = [judged(models, loss, way, runs) for loss in LOSSES]
    kept = [float((given == Answer.WIN).mean()) for given, _ in found]
    early = [float(((found[0][0] == Answer.WIN) & (found[0][1] <= n)).mean()) for n in (4, 6, 10)]
    shares = " ".join(f"{100 * share:6.1f}" for share in (*kept[1:], *early, kept[0]))
    return f"{shares} {float(found[0][1].mean()):6.1f}"


def cases() -> Iterator[Models]:
    """Yield what is simulated."""
    for items in (15, 20, 28, 40, 64):
        for flips in (0.0, 0.005, 0.025):
            yield Models(items, flips)
    for items in (100, 345, 624, 1000):
        for flips in (0.0025, 0.005, 0.01, 0.025):
            for seeds in (0.0, 0.006):
                yield Models(items, flips, seeds)


def main() -> None:
    """Print a table: one line a case and an analysis."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=4000)
    runs = parser.parse_args().runs
    print(
        " items  flips  seeds  judged      1.0m   1.5m   in 4   in 6  in 10  in 30  pairs (kept, %)"
    )
    for models in cases():
        ways: list[Way | None] = [None]
        if FEWEST <= models.items <= LARGEST:
            ways.append("retrained")
        if not models.seeds:
            ways.append("converted")
        for way in ways:
            name = f"{models.items:6} {models.flips:6} {models.seeds:6}  {way or 'seeds':10}"
            print(name, row(models, way, runs), flush=True)


if __name__ == "__main__":
    main()
