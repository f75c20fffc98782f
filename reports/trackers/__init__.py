"""Experiment trackers that a finished run is logged to: one module each, imported when it is used.

What they are given is in `reports.trackers.facts`, the same for all. A run is logged after its last
trial; logged again, it replaces what was logged of it before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from reports.run import Run
from reports.trackers import mlflow, wandb

TRACKERS: Mapping[str, Callable[[Run], None]] = MappingProxyType(
    {"mlflow": mlflow.log, "wandb": wandb.log}
)
