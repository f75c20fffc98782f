"""What is trained: a baseline, its settings and ordered techniques, as one hashed value.

A recipe is always *resolved*: what a technique's `configure` found (a batch size, say) stands in
`settings` as a plain value. The recipe with no techniques is the baseline.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import BenchError

FORMAT = 1
PLACES = frozenset({"data_dir"})
"""Settings that say where something lies on one machine: kept, but no part of the identity."""
Triple = tuple[float, float, float]
"""Low, middle, high."""


class Frozen(BaseModel):
    """A record that can't be changed and takes no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Use(Frozen):
    """One technique of a recipe, with all of its settings."""

    name: str
    settings: dict[str, Any] = {}


class Recipe(Frozen):
    """Baseline + settings + techniques; equal content has an equal `id` on every machine."""

    format: Literal[1] = 1
    baseline: str
    """An entry point's name, or ``file.py:Class``."""
    settings: dict[str, Any] = {}
    techniques: tuple[Use, ...] = ()
    files: dict[str, str] = {}
    """sha256 of each Python file that the baseline or a technique is read from, by file name."""

    @property
    def id(self) -> str:
        """Return the first 12 hex digits of the content's sha256."""
        content = self.model_dump(mode="json")
        content["settings"] = {k: v for k, v in content["settings"].items() if k not in PLACES}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def arm(self) -> str:
        """Return the technique names joined by "+", or "baseline"."""
        return "+".join(use.name for use in self.techniques) or "baseline"

    def plain(self) -> Recipe:
        """Return the same settings with no technique."""
        return self.model_copy(update={"techniques": ()})


class Claim(Frozen):
    """What was measured of a recipe, each as [low, middle, high]; ratios are baseline / recipe."""

    verdict: str
    work: str
    pairs: int
    time_ratio: Triple
    time_basis: Literal["step", "training"]
    """Whether the ratio is of seconds per item, or of the whole training."""
    memory_ratio: Triple | None
    metric_name: str
    metric: Triple | None
    margin: float
    data_sha256: str | None
    environment: dict[str, Any]
    seed: int
    """The first training seed of the run; another run takes others."""
    repeats: int


class Exported(Frozen):
    """The content of ``optimized.json``: a recipe, what it was measured against, and its claim."""

    format: Literal[1] = 1
    recipe_id: str
    recipe: Recipe
    baseline_id: str
    baseline: Recipe
    claim: Claim


def read_exported(path: Path) -> Exported:
    """Read an exported recipe; raise `BenchError` for anything but a whole one of our format."""
    content = read_json(path)
    check_format(content, path)
    try:
        exported = Exported.model_validate(content)
    except (ValidationError, RecursionError) as error:
        found = first_problem(error) if isinstance(error, ValidationError) else "nested too deep"
        raise BenchError(f"{path} is not an exported recipe: {found}") from None
    _check_id(path, "recipe", exported.recipe, exported.recipe_id)
    _check_id(path, "baseline", exported.baseline, exported.baseline_id)
    return exported


def _check_id(path: Path, what: str, recipe: Recipe, said: str) -> None:
    try:
        found = recipe.id
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path} is not an exported recipe: {str(error)[:80]}") from None
    if found != said:
        raise BenchError(
            f"{path}: the {what}'s content has the id {found}, but the file says {said}: "
            "it was edited; export it again"
        )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file; raise `BenchError` naming the file otherwise."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise BenchError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path} is not JSON: {str(error)[:120]}") from None
    if not isinstance(content, dict):
        raise BenchError(f"{path} holds a JSON {type(content).__name__}, not an object")
    return content


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def check_format(content: dict[str, Any], path: Path) -> None:
    """Refuse a file of a format that this version doesn't know."""
    found = content.get("format")
    if found != FORMAT or isinstance(found, bool):
        newer = isinstance(found, int) and found > FORMAT
        advice = "update trainbench to read it" if newer else "is it a file of bench?"
        raise BenchError(f"{path} has format {found!r}; this bench reads format {FORMAT}: {advice}")


def first_problem(error: ValidationError) -> str:
    """Return the first of pydantic's problems as ``field: message``, the value shortened."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"]) or "content"
    value = repr(problem.get("input"))
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message} (got {value[:60]})"


def hash_files(paths: Iterable[Path]) -> dict[str, str]:
    """Return the sha256 of each file's content by file name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
