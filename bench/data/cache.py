"""Locate the user's cache folder, and sign the files that a cached result was made from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
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
        try:
            facts = file.stat()
        except FileNotFoundError:  # a link that leads nowhere
            facts = file.lstat()
        digest.update(f"{file}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()
