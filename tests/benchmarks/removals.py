"""Techniques for one benchmark: take single parts out of `ecg-cnn`'s complex network.

What:    one switch of the baseline is turned off, or all of them, which is its simple network.
Helps:   whoever wants to know which of the removals made a network faster, and which cost quality.
Hurts:   nothing but the network.
Effect:  model.
Source:  the report "19 Labels Full Length CNN", which made all removals at once.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from baselines.ecg_cnn.settings import NETWORKS
from bench.technique import Effect, Probe, Stage, Technique


class Without(Technique):
    """Turn a switch off."""

    name: ClassVar[str] = "without"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.MODEL

    part: Literal[
        "attention", "attention_scale", "squeeze", "residual", "focal", "extra_dense", "deep", "all"
    ] = Field("all", description="the switch")

    def configure(self, settings: Any, probe: Probe) -> Any:
        """Change the setting."""
        simple = NETWORKS["simple"]
        part = "loss" if self.part == "focal" else self.part
        changes = simple | {"network": "simple"} if part == "all" else {part: simple[part]}
        return settings.model_copy(update=changes)
