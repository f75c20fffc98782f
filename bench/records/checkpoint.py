"""What a checkpoint says of itself: the content of ``checkpoint.json``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from bench.data_card import DataCard
from bench.errors import BenchError
from bench.records.recipe import Recipe
from bench.records.schema import Count, Json, Number, Record, Text, Whole, read_record

NAME, WEIGHTS, PROGRAM, FITTED = (
    "checkpoint.json", "model.safetensors", "model.pt2", "fitted.safetensors",
)  # fmt: skip


class Inputs(Record):
    """What the model is called with: one tensor, items along its first dimension."""

    shape: tuple[Count, ...]
    """Of one item."""
    dtype: Text
    low: Number | None = None
    """The least value of a few items of the data, and the largest; None: not looked at."""
    high: Number | None = None


class Checkpoint(Record):
    """All that is needed to use a trained model, beside its weights."""

    format: Literal[1] = 1
    version: Text
    """Of trainpairs, which wrote it."""
    recipe_id: Text
    recipe: Recipe
    seed: Whole
    epochs: Count
    metric_name: Text
    metrics: dict[Text, Number]
    data: DataCard
    unit: Text
    """What one item is, in the plural."""
    inputs: Inputs | None
    """None: the model takes more than one tensor."""
    labels: tuple[Text, ...]
    facts: Json
    form: Literal["recipe", "program"] | None
    """Whether the model is built as the recipe says, or is the exported program beside the weights,
    where techniques changed what it is made of. None: it can't be loaded."""
    why_not: Text | None = None
    files: dict[Text, Text]
    """sha256 of each file that lies beside it, by its name."""
    content: Text | None = None
    """sha256 of all that is said here but this; None: written before there was one."""


def sealed(record: Checkpoint) -> Checkpoint:
    """Return a record that tells whether what it says was changed since: labels, facts, metrics."""
    said = json.loads(record.model_dump_json(exclude={"content"}))
    return record.model_copy(update={"content": _digest(said)})


def _digest(said: dict[str, Any]) -> str:
    plain = {name: value for name, value in said.items() if name != "content"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read what a checkpoint says of itself; raise `BenchError` for what is none."""
    path = folder / NAME
    if not path.is_file():
        raise BenchError(f"{folder} is no checkpoint: there is no {NAME}; `bench train` writes one")
    found = read_record(Checkpoint, path, " is no checkpoint")
    if found.recipe.id != found.recipe_id:
        raise BenchError(f"{path}: the recipe's content has the id {found.recipe.id}, but the file"
                         f" says {found.recipe_id}: it was edited; train again")  # fmt: skip
    if found.content not in (None, _digest(json.loads(path.read_bytes()))):
        raise BenchError(f"{path} is not what was written: it is damaged, or was edited; copy the"
                         " whole checkpoint again")  # fmt: skip
    return found
