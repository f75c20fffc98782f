"""What a run was asked to do: the content of ``run.json``."""

from __future__ import annotations

from typing import Any, Literal

from bench.records.claim import Claim
from bench.records.schema import Record


class Arm(Record):
    """What one arm asks for, as typed: technique names with their settings, or a recipe's file."""

    techniques: tuple[str, ...] = ()
    recipe_file: str | None = None


class Header(Record):
    """The content of ``run.json``: all that is needed to do the run again or to go on with it."""

    format: Literal[1] = 1
    run: str
    started: str
    mode: str
    name: str
    """The baseline's own."""
    baseline: str
    """As asked for: a name, or ``path/to/file.py:Class``."""
    settings: dict[str, Any]
    """The baseline's, whole and resolved."""
    arms: tuple[Arm, ...]
    device: str
    threads: int
    seed: int
    repeats: int
    budget_seconds: float | None
    trial_timeout_seconds: float
    margin: float
    unit: str
    metric: str
    target: float | None
    metric_bounds: tuple[float, float] | None = None
    claim: Claim | None = None
    """What is verified."""
    command: tuple[str, ...]
    notices: tuple[str, ...] = ()
    environment: dict[str, Any]
