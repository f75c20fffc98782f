"""Lighter architecture: train another, lighter network, one that the baseline offers.

What:    a setting that the baseline marks with the lighter alternatives of its values takes the
         next lighter one, and the settings that go with it; a report's is DenseNet121 to
         MobileNetV2 of 0.75 times the channels.
Helps:   networks that are larger than their data needs: training, inference, and the model's file.
Hurts:   quality, where the large one was needed. Weights for the old network don't fit the new one:
         give the new one's with `also`, or it starts from random ones.
Effect:  model.
Source:  Howard et al., MobileNets, 2017; Sandler et al., MobileNetV2, CVPR 2018.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from bench.baseline import marked
from bench.errors import NotApplicable
from bench.records.schema import Json
from bench.technique import Effect, Probe, SettingsT, Stage, Technique


class LighterArchitecture(Technique):
    """Follow the marks ``json_schema_extra={"lighter": {value: {setting: value, ...}}}``."""

    name: ClassVar[str] = "lighter-architecture"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.MODEL

    to: str | None = Field(None, description="which of the lighter ones; null: the next")
    also: dict[str, Any] = Field(
        {}, description='settings of the baseline for it, as {"weights": "mobilenet.safetensors"}'
    )

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Change the settings; refuse where none is marked, or nothing is lighter."""
        marks = marked(settings, "lighter")
        if not marks:
            raise NotApplicable("the baseline marks no lighter alternative of any of its settings")
        ((name, alternatives),) = marks.items()
        changes, passed = self._changes(name, alternatives, getattr(settings, name))
        if changes is None:
            lighter = (
                f"its lighter ones are {', '.join(passed)}" if passed else "nothing is lighter"
            )
            asked = f", not {self.to}" if self.to else ""
            raise NotApplicable(f"{name}={getattr(settings, name)}: {lighter}{asked}")
        values = {**settings.model_dump(), **changes, **self.also}
        return type(settings).model_validate(values)

    def _changes(
        self, name: str, alternatives: dict[str, Json], value: str
    ) -> tuple[Json | None, list[str]]:
        """Return the settings of the one that is wanted, and the names passed on the way."""
        passed: list[str] = []
        while (changes := alternatives.get(value)) is not None:
            value = changes[name]
            passed.append(value)
            if self.to in (None, value):
                return changes, passed
        return None, passed
