"""Minimal augmentation: show items as they are, by the setting that the baseline offers.

What:    a setting that the baseline marks takes the value that it names as the least: an image is
         only rescaled, not turned, flipped, zoomed or shifted. Items that don't change can then be
         cached (cached-features), drawn otherwise, or read ahead by others.
Helps:   trainings that wait for their data; short ones, which see an item a few times.
Hurts:   long trainings on few items: augmentation keeps them from learning these by heart.
Effect:  learning; a gain is less work.
Source:  Shorten & Khoshgoftaar, A Survey on Image Data Augmentation, J. Big Data 2019.
"""

from __future__ import annotations

from typing import ClassVar

from bench.baseline import marked
from bench.errors import NotApplicable
from bench.technique import Effect, Probe, SettingsT, Stage, Technique


class MinimalAugmentation(Technique):
    """Set what is marked with ``json_schema_extra={"minimal": value}`` to that value."""

    name: ClassVar[str] = "minimal-augmentation"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.LEARNING
    less_work: ClassVar[bool] = True

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Change the settings; refuse where none is marked, or they are minimal already."""
        least = marked(settings, "minimal")
        if not least:
            raise NotApplicable("the baseline marks none of its settings as an augmentation")
        if all(getattr(settings, name) == value for name, value in least.items()):
            said = ", ".join(f"{name}={value}" for name, value in least.items())
            raise NotApplicable(f"{said} is the least already: items are shown as they are")
        return settings.model_copy(update=least)
