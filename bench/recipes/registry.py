"""Find baselines and techniques: by entry point, or as ``path/to/file.py:Class``."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.baseline import Baseline
from bench.errors import BenchError
from bench.recipes.references import is_file
from bench.records.schema import first_problem
from bench.technique import Effect, Technique

BASELINES = "bench.baselines"
TECHNIQUES = "bench.optimizers"
_REQUIRED = ("name", "unit", "target", "settings", "job")


def names(group: str) -> list[str]:
    """Return the names registered under an entry-point group, sorted."""
    return sorted(entry_points(group=group).names)


def load_baseline(reference: str) -> Baseline:
    """Return the baseline of a name or ``file.py:Class``, checked to have what one needs."""
    found = _load(BASELINES, "baseline", reference)
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
    return made  # type: ignore[no-any-return]  # checked against the protocol just above


def load_technique(reference: str) -> type[Technique]:
    """Return the technique class of a name or ``file.py:Class``."""
    found = _load(TECHNIQUES, "technique", reference)
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
    return found


def make_technique(reference: str, settings: dict[str, Any]) -> Technique:
    """Return a technique with its settings validated."""
    kind = load_technique(reference)
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


def make_settings(baseline: Baseline, values: dict[str, Any]) -> Any:
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


def _load(group: str, what: str, reference: str) -> Any:
    if is_file(reference):
        return _from_file(what, reference)
    points: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=group)}
    if reference not in points:
        raise BenchError(f'no {what} named "{reference}"; {suggestion(reference, sorted(points))}')
    return points[reference].load()


def _from_file(what: str, reference: str) -> Any:
    file, _, name = reference.rpartition(":")
    path = Path(file)
    if not file or not name:
        raise BenchError(f"{reference}: say which class, as in {reference.rstrip(':')}:MyModel")
    if not path.is_file():
        raise BenchError(f"no file {path}; give a {what} as path/to/file.py:Class")
    module = _module(path)
    if not hasattr(module, name):
        classes = [k for k, v in vars(module).items() if isinstance(v, type)]
        raise BenchError(f'{path} has no "{name}"; {suggestion(name, classes)}')
    return getattr(module, name)


def _module(path: Path) -> Any:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    name = f"bench_file_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BenchError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # so that the file can import its neighbours
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise BenchError(f"{path} can't be imported: {type(error).__name__}: {error}") from error
    return module
