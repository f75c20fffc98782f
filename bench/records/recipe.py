"""What is trained: a baseline, its settings and ordered techniques, as one hashed value.

A recipe is always *resolved*: what a technique's `configure` found (a batch size, say) stands in
`settings` as a plain value. The recipe with no techniques is the baseline.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from bench.records.schema import Record

LOCAL_SETTINGS = frozenset({"data_dir"})
"""Settings that say where something lies on one machine: kept, but no part of the identity."""


class Use(Record):
    """One technique of a recipe, with all of its settings."""

    name: str
    settings: dict[str, Any] = {}


class Recipe(Record):
    """Baseline + settings + techniques; equal content has an equal `id` on every machine."""

    format: Literal[1] = 1
    baseline: str
    """An entry point's name, or ``file.py:Class``."""
    settings: dict[str, Any] = {}
    techniques: tuple[Use, ...] = ()
    files: dict[str, str] = {}
    """sha256 of each Python file that the baseline or a technique is read from, by file name."""

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


def hash_files(paths: Iterable[Path]) -> dict[str, str]:
    """Return the sha256 of each file's content by file name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
