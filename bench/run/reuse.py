"""Take trials of earlier runs: whole blocks of the same recipes, seed, data, machine and code.

A trial of the baseline is taken with those beside it or not at all: ratios of trials that did not
run back to back would compare other times of the day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.records.header import Header
from bench.records.measurement import Measurement, counting
from bench.records.recipe import Recipe
from bench.records.run_folder import read_run
from bench.run.plan import Block, Planned

CHANGING = frozenset({"load_average", "git_commit"})
"""Facts of an environment that say nothing of how a trial would run: our own code has a hash."""
Trials = Mapping[str, Measurement]
"""Of one block, by recipe."""


@dataclass(frozen=True)
class Earlier:
    """Blocks that earlier runs made, whole and undisturbed."""

    blocks: tuple[Trials, ...]

    @classmethod
    def beside(cls, path: Path, header: Header) -> Earlier:
        """Read the runs beside a run's folder that were made as it is; pass over what can't be."""
        found: list[Trials] = []
        for file in sorted(path.parent.glob("*/run.json")):
            if file.parent != path:
                found += _blocks_of(file.parent, header)
        return cls(tuple(found))

    def take(self, block: Block, data_sha256: str | None) -> list[Measurement] | None:
        """Return the trials of a block, in the places that it gives them; None: they are not there.

        `data_sha256` is of the data now.
        """
        for trials in self.blocks:
            taken = [_fitting(planned, trials, data_sha256) for planned in block]
            known = [record for record in taken if record is not None]
            if len(known) == len(block):
                return known
        return None


def _blocks_of(path: Path, header: Header) -> Iterator[Trials]:
    try:
        other, trials, _ = read_run(path)
    except BenchError:
        return
    if _made_by(other) != _made_by(header):
        return
    pairs: dict[int, list[Measurement]] = {}
    for trial in counting(trials):
        if trial.pair >= 0 and trial.judges:
            pairs.setdefault(trial.pair, []).append(trial)
    for own in pairs.values():
        if all(trial.ok and not trial.disturbed and not trial.reused_from for trial in own):
            yield {
                _key(Recipe.model_validate(trial.recipe), trial.arm, trial.seed, trial.kind):
                trial.model_copy(update={"reused_from": other.run})
                for trial in own
            }  # fmt: skip


def _made_by(header: Header) -> tuple[object, ...]:
    """Return what must be the same for a trial to be the same."""
    environment = {k: v for k, v in header.environment.items() if k not in CHANGING}
    return (
        environment, header.baseline, header.files, header.device, header.threads, header.metric,
    )  # fmt: skip


def _key(recipe: Recipe, arm: str, seed: int, kind: str) -> str:
    return f"{recipe.id}/{arm}/{seed}/{kind}"


def _fitting(planned: Planned, trials: Trials, data_sha256: str | None) -> Measurement | None:
    found = trials.get(_key(planned.recipe, planned.arm, planned.seed, planned.kind))
    if found is None or (planned.deploys and not found.inference):
        return None
    if found.data is None or found.data.sha256 != data_sha256:
        return None
    return found.model_copy(update={"pair": planned.pair, "stage": planned.stage, "attempt": 0})
