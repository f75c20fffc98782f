"""Write whole files or nothing: to a temporary name, synced, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Yield a temporary file that becomes `path` at the end, synced; nothing is left on failure.

    Raises `BenchError` where it can't be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
    except OSError as error:
        raise BenchError(f"can't write {path} ({error.strerror})") from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise BenchError(f"can't write {path} ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or nothing; raise `BenchError` where it can't be written."""
    with appearing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
