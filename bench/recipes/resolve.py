"""From what a user typed to resolved recipes: parse, validate, configure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.baseline import Baseline, Target
from bench.errors import BenchError
from bench.machine import environment
from bench.recipes import registry
from bench.recipes.assembly import settings_dump
from bench.recipes.combination import check_conflicts
from bench.recipes.references import file_of, parse_technique, relative, whole_path
from bench.records.header import Arm
from bench.records.recipe import Recipe, Use, hash_files
from bench.records.schema import first_problem
from bench.technique import Probe, Technique

_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Return the seconds of ``90``, ``90s``, ``15m`` or ``2h``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not found or float(found[1]) <= 0:
        raise BenchError(f'"{text}" is not a duration above 0; write 90s, 15m or 2h')
    return float(found[1]) * _UNITS[found[2] or "s"]


def parse_repeats(text: str) -> int | None:
    """Return a number of pairs, or None for ``auto``."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise BenchError(f'--repeats "{text}" is neither a number above 0 nor auto')
    return int(text)


def parse_margin(value: float) -> float:
    """Return a margin, at least 0 and finite."""
    if not 0 <= value < float("inf"):
        raise BenchError(f"--margin {value} is not a number of 0 or more")
    return value


def at_least_one(option: str, value: int | None) -> int | None:
    """Return an optional count; refuse one below 1."""
    if value is not None and value < 1:
        raise BenchError(f"{option} {value} is below 1")
    return value


def choose_mode(asked: dict[str, Any]) -> tuple[str, tuple[Arm, ...]]:
    """Return the one mode that was asked for, with its arms."""
    given = [mode for mode, value in asked.items() if value]
    if len(given) != 1:
        said = " and ".join(f"--{mode}" for mode in given) or "none"
        options = ", ".join(f"--{mode}" for mode in asked)
        raise BenchError(f"give one of {options} ({said} given)")
    mode, value = given[0], asked[given[0]]
    if mode == "baseline-only":
        return mode, ()
    if mode == "full-optimization":
        return mode, tuple(Arm(techniques=(name,)) for name in registry.names(registry.TECHNIQUES))
    if mode == "recipe":
        return mode, tuple(Arm(recipe_file=str(Path(file).resolve())) for file in value)
    texts = [whole_path(text) for text in value]
    if mode == "combine":
        return mode, (Arm(techniques=tuple(texts)),)
    return mode, tuple(Arm(techniques=(text,)) for text in texts)


def make_techniques(texts: Sequence[str]) -> list[tuple[str, Technique]]:
    """Return (reference, technique) of each text, refusing repeats and conflicts."""
    made = []
    for text in texts:
        reference, values = parse_technique(text)
        made.append((reference, registry.make_technique(reference, values)))
    check_conflicts(technique for _, technique in made)
    return made


def baseline_recipe(reference: str, settings: Any, places: dict[str, str]) -> Recipe:
    """Return the recipe with no technique."""
    path = file_of(reference)
    files = hash_files([Path(places[path.name])]) if path else {}
    return Recipe(baseline=relative(reference), settings=settings_dump(settings), files=files)


def with_techniques(
    base: Recipe, baseline: Baseline, used: Sequence[tuple[str, Technique]],
    probe_for: Any, places: dict[str, str],
) -> Recipe:  # fmt: skip
    """Return the resolved recipe of a baseline with techniques, configured in order of stage.

    `probe_for(technique)` gives the probe that a technique's `configure` may call.
    """
    settings = registry.make_settings(baseline, base.settings)
    for _, technique in sorted(used, key=lambda pair: pair[1].stage):
        settings = _configured(technique, settings, probe_for(technique))
    paths = [p for reference, _ in used if (p := file_of(reference))]
    return base.model_copy(
        update={
            "settings": settings_dump(settings),
            "techniques": tuple(
                Use(name=relative(reference), settings=technique.model_dump(mode="json"))
                for reference, technique in used
            ),
            "files": base.files | hash_files([Path(places[p.name]) for p in paths]),
        }
    )


def _configured(technique: Technique, settings: Any, probe: Probe) -> Any:
    try:
        changed = technique.configure(settings, probe)
        return type(settings).model_validate(changed.model_dump())  # model_copy validates nothing
    except ValidationError as error:
        raise BenchError(
            f"technique {technique.name} asks for settings that the baseline refuses: "
            f"{first_problem(error)}"
        ) from None


def prepared(baseline: Baseline, values: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Validate settings and let the baseline resolve what they leave open."""
    settings = registry.make_settings(baseline, values)
    prepare = getattr(baseline, "prepare", None)
    if prepare is None:
        return settings, ()
    settings, notices = prepare(settings)
    return settings, tuple(notices)


def target_of(baseline: Baseline, settings: Any) -> Target:
    """Return the metric and the value worth reaching with these settings."""
    special = getattr(baseline, "target_for", None)
    return special(settings) if special else baseline.target


def threads_of(baseline: Baseline, settings: Any, asked: int | None = None) -> int:
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
