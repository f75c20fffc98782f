"""An exported recipe with what was measured of it: the content of ``optimized.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from bench.errors import BenchError
from bench.records.recipe import Recipe
from bench.records.schema import Record, check_format, first_problem, read_json

Bounds = tuple[float, float, float]
"""Low, middle, high."""


class Claim(Record):
    """What was measured of a recipe, each as [low, middle, high]; ratios are baseline / recipe."""

    verdict: str
    work: str
    pairs: int
    time_ratio: Bounds
    time_basis: Literal["step", "training"]
    """Whether the ratio is of seconds per item, or of the whole training."""
    memory_ratio: Bounds | None
    metric_name: str
    metric: Bounds | None
    margin: float
    data_sha256: str | None
    environment: dict[str, Any]
    seed: int
    """The first training seed of the run; another run takes others."""
    repeats: int


class Exported(Record):
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
