"""Smaller input: train and answer on smaller images, by the setting that the baseline offers.

What:    every setting that the baseline marks as a side of its inputs is multiplied by a factor and
         rounded to a multiple; the default is that of a report, 224 to 128 pixels. What is deployed
         takes the small inputs too (progressive-resizing ends with whole ones).
Helps:   convolutional nets: work and activations fall with the square of the side.
Hurts:   tasks that need fine detail.
Effect:  model; a gain is less work.
Source:  Tan & Le, EfficientNet, ICML 2019 (resolution as what a model is scaled by).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, ValidationError

from bench.baseline import marked
from bench.errors import NotApplicable
from bench.technique import Effect, Probe, SettingsT, Stage, Technique


class SmallerInput(Technique):
    """Multiply the settings marked with ``json_schema_extra={"scales": "input"}``."""

    name: ClassVar[str] = "smaller-input"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.MODEL
    less_work: ClassVar[bool] = True

    factor: float = Field(
        4 / 7, gt=0, lt=1, description="factor of the sides",
        json_schema_extra={"range": [0.4, 0.55, 0.7, 0.85]},
    )  # fmt: skip
    multiple: int = Field(16, ge=1, description="sides are rounded to multiples of this many")

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Scale; refuse where there is no such setting, or it would not become smaller."""
        sides = [name for name, kind in marked(settings, "scales").items() if kind == "input"]
        if not sides:
            raise NotApplicable("the baseline marks none of its settings as a side of its inputs")
        old = {name: getattr(settings, name) for name in sides}
        new = {name: self._scaled(value) for name, value in old.items()}
        sizes = ", ".join(f"{name}={value}" for name, value in old.items())
        if any(new[name] >= old[name] for name in sides):
            raise NotApplicable(f"{sizes} would not become smaller at factor={self.factor:.3g}")
        try:
            return type(settings).model_validate({**settings.model_dump(), **new})
        except ValidationError as error:
            said = error.errors()[0]["msg"]
            raise NotApplicable(f"{sizes} can't be scaled by {self.factor:.3g}: {said}") from error

    def _scaled(self, side: int) -> int:
        return max(1, round(side * self.factor / self.multiple)) * self.multiple
