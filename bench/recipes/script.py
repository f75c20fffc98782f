"""A training script as a baseline: named ``train.py:__main__``, with its own command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, field_validator

from bench.baseline import Settings, Target
from bench.errors import BenchError
from bench.interception.metric_files import check_readable, told_in_files
from bench.machine.variables import threads_given
from bench.recipes.source import Source

if TYPE_CHECKING:
    import torch

    from bench.job import Job
    from bench.records.recipe import Recipe

MAIN = "__main__"
NO_METRIC = "metric"
"""What the metric is called of a script that tells none."""
LEAST_STEPS, MOST_STEPS = 15, 200
"""As many losses tell whether arithmetic changed; more steps than these take long."""
LEAST_SECONDS = 3.0
"""That a trial steps for, unless it has made the most steps before."""


class ScriptSettings(Settings):
    """How a script is started, and where its metric is read."""

    data_dir: str = Field(description="the script's working folder")
    script: str = Field(description="its path, from there")
    module: str | None = Field(None, description="its name, where it is run as a module (-m)")
    arguments: tuple[str, ...] = Field((), description="its own arguments")
    seed_argument: str | None = Field(
        None, description="the argument that seeds it; one that ends with = is joined with the seed"
    )
    metric: str | None = Field(
        None, description="a pattern over its output, a reported name, FILE.json:key, "
        "FILE.csv:column or tensorboard:TAG",
    )  # fmt: skip
    lower: bool = Field(False, description="whether lower values of the metric are better")
    model: str | None = Field(None, description="the class of the models that techniques change")
    steps: int | None = Field(
        None, ge=LEAST_STEPS, description="steps of a trial that only steps; null: 15, for 3 s"
    )

    @field_validator("metric")
    @classmethod
    def _is_pattern(cls, text: str | None) -> str | None:
        if text is None or text.isidentifier():
            return text
        if told := told_in_files(text):
            check_readable(told)
            return text
        try:
            groups = re.compile(text).groups
        except re.error as error:
            raise ValueError(f"{text!r} is no pattern: {error}") from None
        if groups != 1:
            raise ValueError(f"{text!r} has {groups} groups; write one: val_acc=([\\d.]+)")
        return text


class ScriptBaseline:
    """What the engine asks of a baseline, of a script."""

    unit = "items"
    settings: type[BaseModel] = ScriptSettings
    target = Target(NO_METRIC)

    def __init__(self, file: str) -> None:
        self.name = Path(file).stem

    def prepare(self, settings: ScriptSettings) -> tuple[ScriptSettings, tuple[str, ...]]:
        """Say what of a module's own code no hash covers."""
        if settings.module is None:
            return settings, ()
        return settings, (
            f"{settings.module}: only its file, and what that imports from beside it, is hashed: a "
            "change of other modules of yours is not noticed",
        )

    def target_for(self, settings: ScriptSettings) -> Target:
        """Return the metric that the settings name."""
        if settings.metric is None:
            return self.target
        return Target(metric_name(settings.metric), direction="lower" if settings.lower else None)

    def threads_for(self, settings: ScriptSettings) -> int | None:
        """Return the threads that the environment gives a script in plain Python."""
        return threads_given()

    def steps_alone(self, settings: ScriptSettings) -> bool:
        """Tell whether trials only step: there is no metric that a whole training would tell."""
        return settings.metric is None

    def job(self, settings: Any, device: torch.device, seed: int) -> Job:
        """Refuse: a script makes its own."""
        raise BenchError(f"{self.name} is a script, which has no job: bench script runs it")


def is_script(recipe: Recipe) -> bool:
    """Tell whether a recipe's baseline is a script."""
    return recipe.baseline.endswith(f".py:{MAIN}")


def script_name(recipe: Recipe) -> str:
    """Return what a script's own file is called."""
    return recipe.baseline.rpartition(":")[0]


def script_file(given: Path, name: str) -> Path:
    """Return where a script's file lies that is called `name`, by whatever link it is started."""
    whole = given.resolve()
    return whole if whole.name == name else given.with_name(name)


def check_code(recipe: Recipe, given: Path) -> None:
    """Raise `BenchError` where a script that is started as `given` is not what was measured."""
    file = script_file(given, script_name(recipe))
    for name, digest in recipe.files.items():
        if (file.parent / name).exists() or name == file.name:
            Source(file.parent / name, digest).read()


def metric_name(metric: str) -> str:
    """Return what a metric is called: the words before its pattern, the name reported, its key."""
    if told := told_in_files(metric):
        return told.key
    words = re.match(r"\s*([A-Za-z][\w ./-]*?)\s*(?:[=:\\\[({?*+^$|]|$)", metric)
    return words[1] if words else NO_METRIC
