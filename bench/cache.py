"""Where what can be made again is kept between runs, and how it gets there whole."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError


def cache_folder() -> Path:
    """Return the folder, made where it is missing: `trainbench` in XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(root) / "trainbench"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(
            f"can't make the cache folder {folder} ({error.strerror}); set XDG_CACHE_HOME"
        ) from error
    return folder


def signature_of(files: Iterable[Path]) -> str:
    """Return a digest of names, sizes and times of files: it changes when one of them does."""
    digest = hashlib.sha256()
    for file in files:
        facts = file.stat()
        digest.update(f"{file}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a temporary file that becomes `path` at the end, synced; nothing is left on failure.

    Raises `BenchError` where it can't be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        os.close(handle)
    except OSError as error:
        raise BenchError(f"can't write {path} ({error.strerror})") from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise BenchError(f"can't write {path} ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)
