"""Let a script import what lies beside it, whatever of that name its process has imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

STARTING = (
    "_collections_abc", "_sitebuiltins", "abc", "codecs", "encodings", "genericpath", "importlib",
    "io", "ntpath", "os", "posixpath", "runpy", "site", "stat", "zipimport",
)  # fmt: skip
"""What Python imports as it starts, or has frozen in itself."""
KEPT = frozenset({"bench", "__main__", *sys.builtin_module_names, *STARTING})
"""What stays: `bench.report` is ours, and the others come before any folder in plain Python too."""


class Beside(MetaPathFinder):
    """Finds modules in a folder, before any other finder is asked."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a module is loaded that lies in the folder; None for all others."""
        if path is not None or fullname in KEPT:
            return None
        spec = PathFinder.find_spec(fullname, [self._folder])
        return spec if spec is not None and spec.origin is not None else None


@contextmanager
def own_modules(folder: str) -> Iterator[None]:
    """Let modules be found in a folder first, within the block, those that were imported too."""
    beside, known = Beside(folder), {name.partition(".")[0] for name in sys.modules}
    own = {top for top in known if (spec := beside.find_spec(top, None)) and _is_other(spec)}
    hidden = {name: sys.modules[name] for name in [*sys.modules] if name.partition(".")[0] in own}
    for name in hidden:
        del sys.modules[name]
    sys.meta_path.insert(0, beside)
    try:
        yield
    finally:
        sys.meta_path.remove(beside)
        for name in [name for name in sys.modules if name.partition(".")[0] in own]:
            del sys.modules[name]
        sys.modules.update(hidden)


def _is_other(spec: ModuleSpec) -> bool:
    """Tell whether a module that was found is not the one that was imported."""
    return spec.origin != getattr(sys.modules.get(spec.name), "__file__", None)
