"""With which settings of its techniques an arm was measured: its name alone doesn't tell them."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.measurement import Measurement
from bench.records.recipe import Recipe
from bench.records.schema import Json, plain_text

Settings = dict[str, Json]
"""By technique."""


def settings_of(trials: Sequence[Measurement], arm: str) -> Settings:
    """Return the settings of an arm's techniques, by its last good trial; nothing without one."""
    own = next((t for t in reversed(trials) if t.arm == arm and t.ok), None)
    if own is None:
        return {}
    return {use.name: use.settings for use in Recipe.model_validate(own.recipe).techniques}


def unlike_settings(old: Settings, new: Settings) -> list[str]:
    """Return in what settings of techniques differ; one that only one side knows is no other."""
    return [
        f"{name} {key} {plain_text(old[name][key])} and {plain_text(new[name][key])}"
        for name in old
        if name in new
        for key in old[name]
        if key in new[name] and old[name][key] != new[name][key]
    ]
