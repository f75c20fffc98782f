"""Find baselines and techniques: by entry point, or as ``path/to/file.py:Class``."""

from __future__ import annotations

import difflib
import functools
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bench.baseline import Baseline, Target
from bench.errors import BenchError
from bench.recipes import own_packages
from bench.recipes.loading import load
from bench.recipes.program import program_of
from bench.recipes.references import is_file
from bench.recipes.script import MAIN, ScriptBaseline
from bench.recipes.source import Sources
from bench.records.measurement import BASELINE, CONTROL
from bench.records.schema import Json, first_problem
from bench.technique import Effect, Part, Technique

BASELINES = "bench.baselines"
TECHNIQUES = "bench.optimizers"
LONGEST = 80
LIGHTNING = "LightningModule"
"""What is a baseline by its loaders, its steps and its optimizer."""
_REQUIRED = ("name", "unit", "target", "settings", "job")


def names(group: str) -> list[str]:
    """Return the names registered under an entry-point group, sorted."""
    return sorted(_registered(group))


@functools.cache
def _registered(group: str) -> dict[str, EntryPoint]:
    """Return an entry-point group by name; to find it, the metadata of all packages are read."""
    return {point.name: point for point in entry_points(group=group)}


def folder_of(name: str) -> Path | None:
    """Return the folder of an installed baseline that is a package; it is not imported."""
    own_packages.put_first()
    spec = find_spec(_registered(BASELINES)[name].module)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def load_baseline(reference: str, sources: Sources | None = None) -> Baseline:
    """Return the baseline of a name or ``file.py:Class``, checked to have what one needs.

    With `sources` the file is one of these; without, it is read from its path.
    """
    found = _load(BASELINES, "baseline", reference, sources)
    try:
        made = found() if isinstance(found, type) else found
    except TypeError as error:
        raise BenchError(f"{reference} can't be made without arguments: {error}") from None
    missing = [part for part in _REQUIRED if not hasattr(made, part)]
    if missing:
        raise BenchError(
            f"{reference} is not a baseline: it has no {', '.join(missing)}; "
            "see the template that `bench init FILE` writes"
        )
    _check_texts(reference, name=made.name, unit=made.unit)
    if not isinstance(made.target, Target):
        raise BenchError(f"{reference}: target is {made.target!r}, not a bench.baseline.Target")
    _check_texts(reference, **{"target.metric": made.target.metric})
    if not (isinstance(made.settings, type) and issubclass(made.settings, BaseModel)):
        raise BenchError(
            f"{reference}: settings is {made.settings!r}, not a class of bench.baseline.Settings"
        )
    return made  # type: ignore[no-any-return]  # checked against the protocol just above


def _check_texts(reference: str, **texts: object) -> None:
    """Refuse what can't stand in a record, a file's name or a line."""
    for what, text in texts.items():
        if not (isinstance(text, str) and text.isprintable() and 0 < len(text) <= LONGEST):
            raise BenchError(
                f"{reference}: {what} is {text!r:.80}; give a text of 1 to {LONGEST} "
                "characters that can be printed"
            )


def load_technique(reference: str, sources: Sources | None = None) -> type[Technique]:
    """Return the technique class of a name or ``file.py:Class``."""
    found = _load(TECHNIQUES, "technique", reference, sources)
    if not (isinstance(found, type) and issubclass(found, Technique)):
        raise BenchError(
            f"{reference} is not a technique: it must subclass bench.technique.Technique"
        )
    missing = [part for part in ("name", "stage", "effect") if not hasattr(found, part)]
    if missing:
        raise BenchError(f"the technique {reference} declares no {', '.join(missing)}")
    if found.effect not in list(Effect):
        known = ", ".join(Effect)
        raise BenchError(f"{reference} declares the effect {found.effect!r}; there are: {known}")
    if found.touches is not None and not {*found.touches} <= {*Part}:
        unknown = ", ".join(sorted(map(str, {*found.touches} - {*Part})))
        known = ", ".join(Part)
        raise BenchError(f"{reference} declares that it touches {unknown}; there are: {known}")
    _check_texts(reference, name=found.name)
    if found.name in (BASELINE, CONTROL) or "+" in found.name:
        raise BenchError(
            f'{reference} has the name "{found.name}": arms are named "{BASELINE}", "{CONTROL}" '
            'and, of several techniques, "a+b"; give it another'
        )
    return found


def make_technique(reference: str, settings: Json, sources: Sources | None = None) -> Technique:
    """Return a technique with its settings validated."""
    kind = load_technique(reference, sources)
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        if problem["type"] == "extra_forbidden":
            given = str(problem["loc"][0])
            hint = suggestion(given, list(kind.model_fields), "it has no settings")
            raise BenchError(f'technique {kind.name} has no setting "{given}"; {hint}') from None
        raise BenchError(
            f"technique {kind.name}: {first_problem(error)}; "
            f"see what it takes: bench list techniques {reference}"
        ) from None


def make_settings(baseline: Baseline, values: Json) -> BaseModel:
    """Return a baseline's settings, validated; raise `BenchError` naming the first problem."""
    try:
        return baseline.settings.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        if problem["type"] == "extra_forbidden":
            given = str(problem["loc"][0])
            hint = suggestion(given, list(baseline.settings.model_fields), "it has no settings")
            raise BenchError(f'baseline {baseline.name} has no setting "{given}"; {hint}') from None
        raise BenchError(f"baseline {baseline.name}: {first_problem(error)}") from None


def suggestion(given: str, known: list[str], nothing: str = "there are none") -> str:
    """Return ``did you mean "x"?``, or the known names."""
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"there are: {', '.join(known)}" if known else nothing


def _load(group: str, what: str, reference: str, sources: Sources | None) -> Any:
    if is_file(reference):
        return _from_file(what, reference, sources)
    points = _registered(group)
    if reference not in points:
        raise BenchError(f'no {what} named "{reference}"; {suggestion(reference, sorted(points))}')
    own_packages.put_first()
    return points[reference].load()


def _from_file(what: str, reference: str, sources: Sources | None) -> Any:
    file, _, name = reference.rpartition(":")
    path = Path(file)
    if not file or not name:
        raise BenchError(f"{reference}: say which class, as in {reference.rstrip(':')}:MyModel")
    if sources is None:
        if not path.is_file():
            raise BenchError(f"no file {path}; give a {what} as path/to/file.py:Class")
    elif file not in sources:
        raise BenchError(f"the recipe names {file}, but says no hash of it: it can't be run")
    if what == "baseline" and name == MAIN:
        return ScriptBaseline(file)
    if sources is None:
        sources = program_of(path).sources
    module = load(path.name if file not in sources else file, sources)
    if not hasattr(module, name):
        classes = [k for k, v in vars(module).items() if isinstance(v, type)]
        raise BenchError(f'{path} has no "{name}"; {suggestion(name, classes)}')
    found = getattr(module, name)
    if what == "baseline" and any(k.__name__ == LIGHTNING for k in getattr(found, "__mro__", ())):
        from bench.data.lightning import as_baseline

        return as_baseline(found, module)
    return found
