"""Temperature schedule: let the temperature of a contrastive loss follow the epochs another way.

What:    sets which of the baseline's own schedules moves its temperature, and between what values.
Helps:   contrastive losses, where a low temperature looks at the hardest negatives and a high one
         at all: moving between both can reach a quality earlier.
Hurts:   a step costs the same; without fewer epochs to a target nothing is gained.
Effect:  learning.
Source:  Kukleva et al., Temperature Schedules for Self-Supervised Contrastive Methods, ICLR 2023.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, ValidationError

from bench.errors import NotApplicable
from bench.technique import Effect, Probe, SettingsT, Stage, Technique


class TemperatureSchedule(Technique):
    """Choose the baseline's temperature schedule."""

    name: ClassVar[str] = "temperature-schedule"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.LEARNING

    schedule: Literal[
        "cosine_annealing", "linear_decay", "exponential_decay", "step_decay", "polynomial_decay",
        "sigmoid_decay", "warmup_cosine", "constant", "cyclic", "no_scheduling",
        "adaptive_cosine_annealing", "multi_cycle_cosine", "cosine_with_restarts",
    ] = Field("linear_decay", description="how the temperature follows the epochs")  # fmt: skip
    minimum: float | None = Field(None, gt=0, description="lowest; null: the baseline's")
    maximum: float | None = Field(None, gt=0, description="highest; null: the baseline's")
    period: int | None = Field(None, ge=1, description="epochs of the schedule; null: as before")

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Set the baseline's temperature settings; refuse one that has none, or has these."""
        if not hasattr(settings, "temperature_schedule"):
            raise NotApplicable("the baseline has no setting temperature_schedule")
        asked = {
            "temperature_schedule": self.schedule, "temperature_min": self.minimum,
            "temperature_max": self.maximum, "temperature_period": self.period,
        }  # fmt: skip
        changes = {name: value for name, value in asked.items() if value is not None}
        if missing := [name for name in changes if not hasattr(settings, name)]:
            raise NotApplicable(f"the baseline has no setting {missing[0]}")
        if all(getattr(settings, name) == value for name, value in changes.items()):
            raise NotApplicable(f"the baseline's temperature follows {self.schedule} already")
        try:
            return type(settings).model_validate(settings.model_dump() | changes)
        except ValidationError as error:
            said = error.errors(include_url=False)[0]["msg"]
            raise NotApplicable(f"the baseline refuses this temperature: {said}") from error
