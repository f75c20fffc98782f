"""Find the files of a data set, the same way for every baseline.

Links are followed, each folder once; names that begin with a dot and ``__MACOSX`` are passed over,
as what systems leave behind; suffixes are compared without regard to case; the order is by path.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection
from pathlib import Path

from bench.errors import BenchError

LEFT_BEHIND = "__MACOSX"
"""What macOS adds to an archive, beside names that begin with a dot."""


def files_under(folder: Path, suffixes: Collection[str] = ()) -> list[Path]:
    """List the files in a folder at any depth; of every suffix where none is given.

    What can be reached both ways is listed under its own folder, not under a link's. The link of a
    file that leads nowhere is listed: whoever reads it says so. Raises `BenchError` for a folder
    that can't be read.
    """
    entered = {_identity(above) for above in folder.resolve().parents}
    found, waiting = list[Path](), deque([folder])
    while waiting:
        here = waiting.popleft()
        files, folders, links = _listed(here, entered)
        found += [path for path in files if _has_suffix(path, suffixes)]
        waiting.extendleft(folders)
        waiting.extend(links)
    return sorted(found)


def files_in(folder: Path, suffixes: Collection[str] = ()) -> list[Path]:
    """List the files that lie in a folder itself."""
    files, _, _ = _listed(folder, set())
    return sorted(path for path in files if _has_suffix(path, suffixes))


def folders_in(folder: Path) -> list[Path]:
    """List the folders that lie in a folder itself, linked ones too."""
    _, folders, links = _listed(folder, set())
    return sorted(folders + links)


def as_spelled(path: Path) -> Path:
    """Return a file's path as its folder spells the name: upper and lower case may differ."""
    if path.exists() or not path.parent.is_dir():
        return path
    alike = (other for other in files_in(path.parent) if other.name.lower() == path.name.lower())
    return next(alike, path)


def _listed(
    folder: Path, entered: set[tuple[int, int]]
) -> tuple[list[Path], list[Path], list[Path]]:
    """Return a folder's files, folders and linked folders; nothing where it was `entered`."""
    files, folders, links = list[Path](), list[Path](), list[Path]()
    try:
        if (own := _identity(folder)) in entered:
            return [], [], []
        entered.add(own)
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith(".") or entry.name == LEFT_BEHIND:
                    continue
                path = folder / entry.name
                if not entry.is_symlink():
                    (folders if entry.is_dir() else files if entry.is_file() else []).append(path)
                elif path.is_dir():
                    links.append(path)
                elif path.is_file() or not path.exists():
                    files.append(path)
    except OSError as error:
        raise BenchError(f"{folder} can't be read ({error.strerror}); check the folder") from error
    return files, folders, links


def _identity(folder: Path) -> tuple[int, int]:
    facts = folder.stat()
    return facts.st_dev, facts.st_ino


def _has_suffix(path: Path, suffixes: Collection[str]) -> bool:
    return not suffixes or path.suffix.lower() in suffixes
