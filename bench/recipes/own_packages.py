"""Find trainpairs' own packages where bench lies, whatever else has their names."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

import bench

HOME = Path(bench.__file__).parents[1]
NAMES = ("bench", "optimizers", "baselines", "reports")
LENT = NAMES[1:]
"""Names that a script may have for packages of its own."""


class OwnPackages(MetaPathFinder):
    """Finds the packages in `NAMES`, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where one of the packages lies."""
        return PathFinder.find_spec(fullname, [str(HOME)]) if fullname in NAMES else None


class Lent(MetaPathFinder, Loader):
    """Finds what a script has under names of ours, and ours, as it was, where it has nothing."""

    def __init__(self, ours: Mapping[str, ModuleType]) -> None:
        self._ours = ours
        self._specs = {name: module.__spec__ for name, module in ours.items()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where another module of a name lies, or else that ours is to be put back."""
        if fullname not in self._ours:
            return None
        found = (one.find_spec(fullname, path, target) for one in sys.meta_path if one is not self)
        other, own = next((one for one in found if one), None), self._specs[fullname]
        if other is None or (own is not None and other.origin == own.origin):
            return ModuleSpec(fullname, self)
        return other

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return our module of that name."""
        return self._ours[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Leave it as it was imported."""
        module.__spec__ = self._specs[module.__name__]


@contextmanager
def lent() -> Iterator[None]:
    """Leave the names in `LENT` to what a script has under them, within the block.

    What is ours and still imported by name (torch.compile does it, and pickle) is found where the
    script has nothing of that name.
    """
    ours, before = _taken_out(), [*sys.meta_path]
    finder = Lent(ours)
    sys.meta_path[:] = [finder, *(one for one in before if not isinstance(one, OwnPackages))]
    try:
        yield
    finally:
        added = [one for one in sys.meta_path if one is not finder and one not in before]
        sys.meta_path[:] = [*added, *before]
        _taken_out()
        sys.modules.update(ours)


def _taken_out() -> dict[str, ModuleType]:
    """Take out of `sys.modules`, and return, what was imported under the names in `LENT`."""
    names = [name for name in sys.modules if name.partition(".")[0] in LENT]
    return {name: sys.modules.pop(name) for name in names}


def digest() -> str:
    """Return a sha256 of all code in these packages: a version says too little of a checkout."""
    found = hashlib.sha256()
    for name in NAMES:
        for path in sorted((HOME / name).rglob("*.py")):
            found.update(f"{path.relative_to(HOME)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def put_first() -> None:
    """Let these packages be found before all others of their names."""
    if not any(isinstance(finder, OwnPackages) for finder in sys.meta_path):
        sys.meta_path.insert(0, OwnPackages())
