"""What is trained: a baseline, its settings and ordered techniques, as one hashed value.

A recipe is always *resolved*: what a technique's `configure` found (a batch size, say) stands in
`settings` as a plain value. The recipe with no techniques is the baseline.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath
from typing import Literal

from pydantic import model_validator

from bench.records.schema import Json, Record, Text

LOCAL_SETTINGS = frozenset({"data_dir"})
"""Settings that say where something lies on one machine: kept, but no part of the identity."""


def file_in(reference: str) -> str | None:
    """Return the file of a ``file.py:Class`` reference, or None where it is a name."""
    file, ending, _ = reference.partition(".py:")
    return f"{file}.py" if ending else None


def reference_in(text: str) -> str:
    """Return the name, or ``file.py:Class``, that a technique's text begins with."""
    parts = text.split(":")
    return ":".join(parts[: 2 if file_in(text) else 1])


def is_bare(name: str) -> bool:
    """Tell whether a file's name leads nowhere but into the folder that it is taken from."""
    path = PurePosixPath(name)
    inside = name == str(path) and not path.is_absolute() and ".." not in path.parts
    return inside and name.endswith(".py") and "\\" not in name and name.isprintable()


class Use(Record):
    """One technique of a recipe, with all of its settings."""

    name: Text
    settings: Json = {}


class Recipe(Record):
    """Baseline + settings + techniques; equal content has an equal `id` on every machine."""

    format: Literal[1] = 1
    baseline: Text
    """An entry point's name, or ``file.py:Class``."""
    settings: Json = {}
    techniques: tuple[Use, ...] = ()
    files: dict[Text, Text] = {}
    """sha256 of each Python file that the baseline or a technique is made of, by its name from the
    folder of the file that imports it: ``mine.py``, ``nets/conv.py``."""

    @model_validator(mode="after")
    def _names_code_by_hash(self) -> Recipe:
        """Refuse code that is not hashed, and a name that leads out of the recipe's folder."""
        named = {file_in(name) for name in (self.baseline, *(use.name for use in self.techniques))}
        for name in sorted({name for name in named if name is not None} | set(self.files)):
            if not is_bare(name):
                raise ValueError(f"code is named by its bare file name; {name!r} leads elsewhere")
            if name not in self.files:
                raise ValueError(f"there is no hash of {name}: it can't be run")
        return self

    @property
    def id(self) -> str:
        """Return the first 12 hex digits of the content's sha256."""
        content = self.model_dump(mode="json")
        content["settings"] = {
            k: v for k, v in content["settings"].items() if k not in LOCAL_SETTINGS
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def arm(self) -> str:
        """Return the technique names joined by "+", or "baseline"."""
        return "+".join(use.name for use in self.techniques) or "baseline"

    def plain(self) -> Recipe:
        """Return the same settings with no technique."""
        return self.model_copy(update={"techniques": ()})
