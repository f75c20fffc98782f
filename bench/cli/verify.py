"""`bench verify`: measure an exported recipe again with fresh seeds, and hold it to its claim."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.analysis.objectives import QUALITY
from bench.cli.parse import parse_repeats, threads_of
from bench.records.claim import read_exported
from bench.records.header import Arm
from bench.run.request import Request


def request(
    recipe: Path, data_dir: Path | None, repeats: str, device: str,
    threads: int | None, output: Path,
) -> Request:  # fmt: skip
    """Return the run that verifies a recipe: its baseline, its margin, seeds that it didn't see."""
    exported = read_exported(recipe)
    claim = exported.claim
    return Request(
        mode="verify",
        baseline=exported.baseline.baseline,
        settings={"data_dir": str(data_dir)} if data_dir else {},
        arms=(Arm(recipe_file=str(recipe.resolve())),),
        device=device,
        threads=threads_of(threads) or claim.environment.get("threads"),
        seed=claim.seed + claim.repeats,
        repeats=parse_repeats(repeats),
        margin=claim.margin,
        objectives=(QUALITY.name,) if claim.quality_gain else (),
        claim=claim,
        output=output,
        command=("bench", *sys.argv[1:]),
    )
