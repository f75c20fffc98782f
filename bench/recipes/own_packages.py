"""Find trainbench's own packages where bench lies, whatever else has their names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

import bench

HOME = Path(bench.__file__).parents[1]
NAMES = ("bench", "optimizers", "baselines", "reports")


class OwnPackages(MetaPathFinder):
    """Finds the packages in `NAMES`, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where one of the packages lies."""
        return PathFinder.find_spec(fullname, [str(HOME)]) if fullname in NAMES else None


def put_first() -> None:
    """Let these packages be found before all others of their names."""
    if not any(isinstance(finder, OwnPackages) for finder in sys.meta_path):
        sys.meta_path.insert(0, OwnPackages())
