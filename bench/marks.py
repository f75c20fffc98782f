"""What a baseline says of its settings, for the techniques that change them.

A field's ``json_schema_extra`` marks it: ``{"scales": "depth" | "width" | "input"}`` (numbers that
a model or its inputs are scaled by), ``{"lighter": {value: {setting: value, ...}}}`` (the settings
of a value's next lighter alternative), ``{"minimal": value}`` (the least of an augmentation),
``{"own_schedule": value}`` (which turns the baseline's own learning-rate schedule off), ``{"fills":
{value: {setting: value, ...}}}`` (a preset: other settings' defaults for a value of this one).
"""

from __future__ import annotations

from typing import Any


def marked(settings: Any, mark: str) -> dict[str, Any]:
    """Return what `mark` says of each setting that has it, by name; of settings or their class."""
    kind: Any = settings if isinstance(settings, type) else type(settings)
    extras = {name: f.json_schema_extra for name, f in kind.model_fields.items()}
    return {
        name: extra[mark]
        for name, extra in extras.items()
        if isinstance(extra, dict) and mark in extra
    }
