"""Build the job of a recipe: load its baseline and techniques, check, apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from bench.baseline import Baseline
from bench.errors import BenchError
from bench.recipes.combination import check_conflicts
from bench.recipes.references import FilePaths
from bench.recipes.registry import load_baseline, make_settings, make_technique
from bench.recipes.source import given_by
from bench.records.recipe import Recipe
from bench.records.schema import Json, plain
from bench.technique import Effect, Technique

if TYPE_CHECKING:
    import torch

    from bench.job import Job

Change = Callable[["Job"], "Job"]


def unchanged(job: Job) -> Job:
    """Leave a job as it is."""
    return job


def baseline_of(recipe: Recipe, places: FilePaths) -> Baseline:
    """Load a recipe's baseline, refusing a file whose content has changed since."""
    check_files(recipe, places)
    return load_baseline(recipe.baseline, given_by(recipe.files, places))


def techniques_of(recipe: Recipe, places: FilePaths) -> list[Technique]:
    """Load a recipe's techniques in the order in which they are applied."""
    sources = given_by(recipe.files, places)
    made = [make_technique(use.name, use.settings, sources) for use in recipe.techniques]
    check_conflicts(made)
    return sorted(made, key=lambda technique: technique.stage)


def alone(recipe: Recipe, places: FilePaths) -> Recipe:
    """Return a recipe without what trains in several processes: the whole step, in one."""
    sources = given_by(recipe.files, places)
    kept = [
        use for use in recipe.techniques
        if make_technique(use.name, use.settings, sources).group_size() == 1
    ]  # fmt: skip
    return recipe.model_copy(update={"techniques": tuple(kept)})


def build(
    recipe: Recipe,
    places: FilePaths,
    device: torch.device,
    seed: int,
    only: frozenset[Effect] | None = None,
    others: Change = unchanged,
) -> Job:
    """Build the job of a recipe; with `only`, apply just the techniques of these effects.

    `others` changes the jobs that techniques ask for beside it: teachers, members of an ensemble.
    """
    used = [t for t in techniques_of(recipe, places) if only is None or t.effect in only]
    return _built(recipe, places, device, seed, used, others)


def _built(
    recipe: Recipe, places: FilePaths, device: torch.device, seed: int, used: Sequence[Technique],
    others: Change,
) -> Job:  # fmt: skip
    """Build a job and apply techniques in order; each knows how to build what it was given."""
    from bench.data.layout import with_layout
    from bench.data.prefetch import with_loader
    from bench.model.lazy import with_shapes
    from bench.random_state import seed_everything, undisturbed

    baseline = baseline_of(recipe, places)
    settings = make_settings(baseline, recipe.settings)
    seed_everything(seed)

    def again(changes: Mapping[str, object]) -> Job:
        fresh = baseline_of(recipe, places)  # the first one may keep its scheduler on itself
        other = make_settings(fresh, {**settings_dump(settings), **changes})
        return others(with_shapes(fresh.job(other, device, seed)))

    job = with_layout(replace(with_shapes(baseline.job(settings, device, seed)), again=again))
    if loader := getattr(settings, "loader", None):
        job = with_loader(job, loader)
    for number, technique in enumerate(used):

        def sibling(other: int, before: Sequence[Technique] = used[:number]) -> Job:
            return others(_built(recipe, places, device, other, before, others))

        with undisturbed(device):  # what it tries on the model is no part of the training
            job = technique.apply(replace(job, sibling=sibling))
    return job


def settings_dump(settings: BaseModel) -> Json:
    """Return settings as JSON values, every default included; refuse what JSON can't hold."""
    try:
        return dict(plain(settings.model_dump(mode="json")))
    except (PydanticSerializationError, ValueError) as error:
        raise BenchError(
            f"{type(settings).__name__}: its values can't be written as JSON: {error}; settings "
            "are numbers, texts, lists and None"
        ) from None


def check_files(recipe: Recipe, places: FilePaths) -> None:
    """Raise `BenchError` for a file of a recipe that is not there, or is not what was measured."""
    for source in given_by(recipe.files, places).values():
        source.read()
