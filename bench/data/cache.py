"""Locate the user's cache folder, and sign the files that a cached result was made from."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bench.errors import BenchError


def cache_folder() -> Path:
    """Return the folder, made where it is missing: `trainpairs` in XDG_CACHE_HOME or ~/.cache.

    A user without a home that can be written to has one in the folder for temporary files.
    """
    asked = os.environ.get("XDG_CACHE_HOME")
    home = home_folder()
    if asked is None and (home is None or not os.access(home, os.W_OK)):
        return _temporary()
    folder = Path(asked or f"{home}/.cache") / "trainpairs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(
            f"can't make the cache folder {folder} ({error.strerror}); set XDG_CACHE_HOME"
        ) from error
    return folder


def home_folder() -> Path | None:
    """Return the user's home; None where the system knows of none."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def _temporary() -> Path:
    """Return a folder that is the user's own, whoever else writes beside it."""
    folder = Path(tempfile.gettempdir()) / f"trainpairs-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
    except OSError as error:
        raise BenchError(f"can't make {folder} ({error.strerror}); set XDG_CACHE_HOME") from error
    if facts.st_uid != os.getuid() or not stat.S_ISDIR(facts.st_mode) or facts.st_mode & 0o022:
        raise BenchError(
            f"{folder} belongs to another user, or others can write to it; set XDG_CACHE_HOME"
        )
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


def shown(path: Path) -> str:
    """Return a path as records and reports name it: within the home folder from there on."""
    home = home_folder()
    return f"~/{path.relative_to(home)}" if home and path.is_relative_to(home) else str(path)
