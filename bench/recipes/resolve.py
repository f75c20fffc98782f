"""Resolve what a user typed to recipes: validate settings, configure techniques."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from bench.baseline import Baseline, Target
from bench.errors import NotApplicable
from bench.machine import environment
from bench.recipes import registry
from bench.recipes.assembly import settings_dump
from bench.recipes.combination import check_conflicts
from bench.recipes.program import hashes, runs_first
from bench.recipes.references import file_of, parse_technique, relative
from bench.recipes.source import Sources
from bench.records.recipe import Recipe, Use
from bench.records.schema import Json, first_problem
from bench.technique import Probe, SettingsT, Technique


def make_techniques(
    texts: Sequence[str], sources: Sources | None = None
) -> list[tuple[str, Technique]]:
    """Return (reference, technique) of each text, refusing repeats and conflicts.

    With `sources` files are named without their folder, and are among these.
    """
    made = []
    for text in texts:
        reference, values = parse_technique(text)
        made.append((reference, registry.make_technique(reference, values, sources)))
    check_conflicts(technique for _, technique in made)
    return made


def baseline_recipe(reference: str, settings: BaseModel, places: dict[str, str]) -> Recipe:
    """Return the recipe with no technique."""
    path = file_of(reference)
    first = path is not None and runs_first(reference, places, Path(places[path.name]))
    files = hashes_of([path] if path else [], places, first)
    return Recipe(baseline=relative(reference), settings=settings_dump(settings), files=files)


def with_techniques(
    base: Recipe, baseline: Baseline, used: Sequence[tuple[str, Technique]],
    probe_for: Callable[[Technique], Probe], places: dict[str, str],
) -> Recipe:  # fmt: skip
    """Return the resolved recipe of a baseline with techniques, configured in order of stage.

    `probe_for(technique)` gives the probe that a technique's `configure` may call.
    """
    settings = registry.make_settings(baseline, base.settings)
    for _, technique in sorted(used, key=lambda pair: pair[1].stage):
        settings = _configured(technique, settings, probe_for(technique))
    configured = base.model_copy(update={"settings": settings_dump(settings)})
    return with_uses(configured, used, places)


def with_uses(
    base: Recipe, used: Sequence[tuple[str, Technique]], places: Mapping[str, str]
) -> Recipe:
    """Return a recipe with techniques added as they are, its settings untouched."""
    paths = [p for reference, _ in used if (p := file_of(reference))]
    return base.model_copy(
        update={
            "techniques": tuple(
                Use(name=relative(reference), settings=settings_dump(technique))
                for reference, technique in used
            ),
            "files": base.files | hashes_of(paths, places),
        }
    )


def hashes_of(
    paths: Sequence[Path], places: Mapping[str, str], first: bool = False
) -> dict[str, str]:
    """Return the hashes of files and of what they import from beside them, by name."""
    found: dict[str, str] = {}
    for path in paths:
        found |= hashes(Path(places[path.name]), first)
    return found


def _configured(technique: Technique, settings: SettingsT, probe: Probe) -> SettingsT:
    try:
        changed = technique.configure(settings, probe)
        return type(settings).model_validate(changed.model_dump())  # model_copy validates nothing
    except ValidationError as error:
        raise NotApplicable(
            f"{technique.name} asks for settings that the baseline refuses: {first_problem(error)}"
        ) from None


def prepared(baseline: Baseline, values: Json) -> tuple[BaseModel, tuple[str, ...]]:
    """Validate settings and let the baseline resolve what they leave open."""
    settings = registry.make_settings(baseline, values)
    prepare = getattr(baseline, "prepare", None)
    if prepare is None:
        return settings, ()
    settings, notices = prepare(settings)
    return settings, tuple(notices)


def target_of(baseline: Baseline, settings: BaseModel) -> Target:
    """Return the metric and the value worth reaching with these settings."""
    special = getattr(baseline, "target_for", None)
    return special(settings) if special else baseline.target


def steps_alone(baseline: Baseline, recipe: Recipe) -> bool:
    """Tell whether trials of a baseline only step, as a whole training would tell no metric."""
    says = getattr(baseline, "steps_alone", None)
    return bool(says and says(registry.make_settings(baseline, recipe.settings)))


def threads_of(baseline: Baseline, settings: BaseModel, asked: int | None = None) -> int:
    """Return the CPU threads of a trial.

    In this order: the setting `threads`, what was asked for, what the baseline advises, all cores.
    """
    advised = getattr(baseline, "threads_for", None)
    return (
        getattr(settings, "threads", None)
        or asked
        or (advised(settings) if advised else None)
        or environment.usable_cores()
    )
