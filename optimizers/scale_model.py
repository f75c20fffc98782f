"""Scale the model: fewer layers and narrower ones, by the settings that the baseline offers.

What:    every setting that the baseline marks as a depth or a width is multiplied by a factor; the
         defaults are those of a report, 36 to 12 layers and 256 to 128 channels.
Helps:   models that are larger than their data needs; time and memory fall about with depth, and
         with the square of the width where matrix products dominate.
Hurts:   quality, where the model is not too large: it is another model.
Effect:  model.
Source:  Tan & Le, EfficientNet, ICML 2019 (depth and width as what a model is scaled by).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from bench.baseline import marked
from bench.errors import NotApplicable
from bench.technique import Effect, Probe, SettingsT, Stage, Technique


class ScaleModel(Technique):
    """Multiply the settings marked with ``json_schema_extra={"scales": "depth" or "width"}``."""

    name: ClassVar[str] = "scale-model"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.MODEL

    depth: float = Field(
        1 / 3, gt=0, le=1, description="factor of the numbers of layers",
        json_schema_extra={"range": [0.25, 0.5, 0.75, 1.0]},
    )  # fmt: skip
    width: float = Field(
        1 / 2, gt=0, le=1, description="factor of the numbers of channels",
        json_schema_extra={"range": [0.25, 0.5, 0.75, 1.0]},
    )  # fmt: skip

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Scale; whole numbers stay whole, and at least 1."""
        factors = {"depth": self.depth, "width": self.width}
        kinds = {n: kind for n, kind in marked(settings, "scales").items() if kind in factors}
        if not kinds:
            raise NotApplicable("the baseline marks none of its settings as a depth or a width")
        old = {name: getattr(settings, name) for name in kinds}
        new = {name: _scaled(old[name], factors[kind]) for name, kind in kinds.items()}
        if new == old:
            sizes = ", ".join(f"{name}={value}" for name, value in old.items())
            raise NotApplicable(f"{sizes} stay as they are at depth={self.depth:g} and"
                                f" width={self.width:g}")  # fmt: skip
        return settings.model_copy(update=new)


def _scaled(value: float, factor: float) -> float:
    return value * factor if isinstance(value, float) else max(1, round(value * factor))
