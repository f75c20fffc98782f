"""A Python file that a recipe names: where it lies here, and the content that it is to have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.errors import BenchError


@dataclass(frozen=True, slots=True)
class Source:
    """One file, and the content that it is to have."""

    path: Path
    sha256: str

    def read(self) -> bytes:
        """Return the content; raise `BenchError` where it is not what was hashed."""
        content = read(self.path)
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise BenchError(
                f"{self.path} is not the file that was measured: its content has changed"
            )
        return content


Sources = Mapping[str, Source]
"""By the name that recipes give them: ``mine.py``, ``nets/conv.py``."""


def given_by(files: Mapping[str, str], places: Mapping[str, str]) -> dict[str, Source]:
    """Return the sources that a recipe names, where they lie on this machine."""
    lost = sorted(set(files) - set(places))
    if lost:
        raise BenchError(
            f"there is no place to take {', '.join(lost)} from; export the recipe again"
        )
    return {name: Source(Path(places[name]), digest) for name, digest in files.items()}


def hashed(places: Mapping[str, str]) -> dict[str, Source]:
    """Return files as they are now."""
    found = {}
    for name, place in places.items():
        found[name] = Source(Path(place), hashlib.sha256(read(Path(place))).hexdigest())
    return found


def places_in(sources: Sources) -> dict[str, str]:
    """Return where sources lie, by name."""
    return {name: str(source.path) for name, source in sources.items()}


def module_of(name: str) -> str:
    """Return what a source is imported as: ``nets.conv``, or ``nets`` of ``nets/__init__.py``."""
    parts = PurePosixPath(name).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read(path: Path) -> bytes:
    """Return a file's bytes; raise `BenchError` where it can't be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BenchError(f"the recipe needs {path}, which is not there") from None
    except OSError as error:
        raise BenchError(f"can't read {path}: {error.strerror}") from None
