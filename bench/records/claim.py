"""An exported recipe with what was measured of it: the content of ``optimized.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from bench.errors import BenchError
from bench.records.recipe import Recipe
from bench.records.schema import Amount, Count, Json, Number, Record, Text, Whole, read_record

Bounds = tuple[Number, Number, Number]
"""Low, middle, high."""
Ratio = Annotated[float, Field(gt=0, le=1e12)]
Ratios = tuple[Ratio, Ratio, Ratio]


class Claim(Record):
    """What was measured of a recipe, each as [low, middle, high]; ratios are baseline / recipe."""

    verdict: Text
    work: Text
    pairs: Count
    time_ratio: Ratios | None
    time_basis: Literal["step", "training"]
    """Whether the ratio is of seconds per item, or of the whole training."""
    memory_ratio: Ratios | None
    other_ratios: dict[Text, Ratios] = {}
    """Of what else it won by: energy, inference time, file size."""
    quality_gain: Bounds | None = None
    """By how much the metric is better, pair by pair, where that is what it won by."""
    metric_name: Text
    metric: Bounds | None
    margin: Amount
    margin_is_relative: bool = False
    """Whether it is a share of the baseline's metric."""
    metric_direction: Literal["higher", "lower"] = "higher"
    """Which values of the metric are better."""
    data_sha256: Text | None
    environment: Json
    seed: Whole
    """The first training seed of the run; another run takes others."""
    repeats: Count


class Exported(Record):
    """The content of ``optimized.json``: a recipe, what it was measured against, and its claim."""

    format: Literal[1] = 1
    recipe_id: Text
    recipe: Recipe
    baseline_id: Text
    baseline: Recipe
    claim: Claim


def read_exported(path: Path) -> Exported:
    """Read an exported recipe; raise `BenchError` for anything but a whole one of our format."""
    exported = read_record(Exported, path, " is not an exported recipe")
    _check_id(path, "recipe", exported.recipe, exported.recipe_id)
    _check_id(path, "baseline", exported.baseline, exported.baseline_id)
    return exported


def _check_id(path: Path, what: str, recipe: Recipe, said: str) -> None:
    found = recipe.id
    if found != said:
        raise BenchError(
            f"{path}: the {what}'s content has the id {found}, but the file says {said}: "
            "it was edited; export it again"
        )
