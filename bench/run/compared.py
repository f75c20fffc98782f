"""What is asked of a comparison of two revisions, as typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

LIMITS: Mapping[str, float] = MappingProxyType({"time": 0.05, "memory": 0.1})
"""By how much, as a share, these may become worse where nobody says otherwise."""


@dataclass(frozen=True)
class Compared:
    """Two revisions of a user's code, and the file of theirs that is trained at both."""

    base: str
    head: str
    """Commits as git names them, or folders; ``.`` is the current one."""
    file: Path
    """From the current folder: a model's file, a recipe's, or a script."""
    kind: str
    """What the file is: the name of a model's class, `RECIPE` or `SCRIPT`."""
    limits: Mapping[str, float] = field(default_factory=lambda: LIMITS)
    alpha: float = 0.05
    """The error that is allowed in calling the changed side better."""
    base_requirements: Path | None = None
    """What the base imports in other versions than are installed here."""


RECIPE, SCRIPT = ".json", "__main__"
