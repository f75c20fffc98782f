"""Load a user's files: the bytes that were hashed, compiled here, and nothing else beside them.

No ``.pyc`` is read or written, and the user's folder is not on the search path: what lies in it can
stand in nobody's way, and what no import statement names can't run.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import traceback
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from bench.errors import BenchError, reason_of
from bench.recipes.own_packages import NAMES
from bench.recipes.source import Source, Sources, module_of


class Neighbours(MetaPathFinder):
    """Finds the modules that users' files import from beside them, once they were hashed."""

    def __init__(self) -> None:
        self.modules: dict[str, Source] = {}

    def learn(self, sources: Sources) -> None:
        """Add sources; a module that was loaded from another content is loaded anew."""
        for name, source in sources.items():
            module = module_of(name)
            if self.modules.get(module) not in (None, source):
                sys.modules.pop(module, None)
            self.modules[module] = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a module is loaded, or None where it is none of a user's."""
        source = self.modules.get(fullname)
        if source is not None:
            return spec_of(fullname, source)
        if any(known.startswith(f"{fullname}.") for known in self.modules):  # no __init__.py
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = []
            return spec
        return None


class Hashed(SourceFileLoader):
    """Compiles the bytes that have the right hash."""

    def __init__(self, fullname: str, source: Source) -> None:
        super().__init__(fullname, str(source.path))
        self._source = source

    def get_code(self, fullname: str) -> object:  # type: ignore[override]  # a code object
        """Return the code of the file as it was hashed, whatever cache lies beside it."""
        return self.source_to_code(self._source.read(), self.path)


def load(file: str, sources: Sources) -> ModuleType:
    """Return a user's file as a module; raise `BenchError` where it can't be imported."""
    source = sources[file]
    known = "".join(f"{name}\0{sources[name].sha256}\n" for name in sorted(sources))
    digest = hashlib.sha256(f"{file}\n{source.path}\n{known}".encode()).hexdigest()[:12]
    name = f"bench_file_{Path(file).stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    _neighbours().learn(sources)
    spec = spec_of(name, source)
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a report's reader wants nothing else
            Hashed(name, source).exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if isinstance(error, BenchError) and frame_of(error) is None:
            raise
        raise BenchError(f"{source.path} can't be imported: {described(error)}") from error
    except BaseException:
        del sys.modules[name]
        raise
    return module


def spec_of(name: str, source: Source) -> ModuleSpec:
    """Return how a source is loaded under a name."""
    places = [str(source.path.parent)] if source.path.name == "__init__.py" else None
    spec = spec_from_file_location(
        name, source.path, loader=Hashed(name, source), submodule_search_locations=places
    )
    assert spec is not None  # there is a loader
    return spec


def described(error: BaseException) -> str:
    """Return an exception's type and text and, where a user's file has part in it, its place."""
    if isinstance(error, BenchError):
        message = str(error)
    elif isinstance(error, SystemExit):
        message = f"it ends Python (sys.exit({error.code!r})); put that under if __name__ =="
        message += ' "__main__"'
    else:
        message = reason_of(error)
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] in NAMES:
        message += "; the package is trainpairs' own: rename yours"
    frame = frame_of(error)
    if frame is None:
        return message
    beside = Path(frame.filename).parent / str(getattr(error, "name", None))
    if isinstance(error, ModuleNotFoundError) and beside.with_suffix(".py").exists():
        message += f"; {beside.name}.py beside it is not among the files that were hashed"
    return f"{message} ({Path(frame.filename).name}, line {frame.lineno})"


def frame_of(error: BaseException) -> traceback.FrameSummary | None:
    """Return the innermost frame in a user's file that an exception passed, if it passed one."""
    files = {str(source.path) for source in _neighbours().modules.values()}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in files]
    return frames[-1] if frames else None


def _neighbours() -> Neighbours:
    """Return the one finder of users' modules, put before all others."""
    for finder in sys.meta_path:
        if isinstance(finder, Neighbours):
            return finder
    made = Neighbours()
    sys.meta_path.insert(0, made)
    return made
