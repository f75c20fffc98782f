"""A working folder of a trial's own, which looks like the script's: what it writes stays in there.

Folders are made anew, small files and checkpoints copied, large files and large folders linked. Its
parents are there too, with links to what lies in them, so that ``../data`` leads where it did; a
script that lies elsewhere has its own folder made anew too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError

COPIED_BYTES = 2**20
"""Files up to this size are copied."""
CHECKPOINTS = frozenset({".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".pkl", ".npz", ".db"})
"""Endings of files that a script may write over in place: copied, whatever their size."""
MOST_FILES = 500
"""A folder that holds more, with those inside it, is linked."""
LINKED = frozenset({".git", ".hg", ".venv", "venv", "node_modules", ".tox", ".mypy_cache"})
RUN = "run.json"
"""What tells a folder of our own results, which no script reads."""


@dataclass
class Mirror:
    """A folder that looks like another one."""

    original: Path
    folder: Path
    linked: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """What all trials share, with size and time of change when it was linked."""

    def check(self) -> None:
        """Raise `BenchError` where a file or folder that trials share was written to."""
        for path, before in self.linked.items():
            if path.exists() and _stamp(path) != before:
                raise BenchError(
                    f"the script writes to {path}, which its trials share (files above "
                    f"{COPIED_BYTES // 2**20} MiB, and folders of more than {MOST_FILES}, are "
                    "linked): let an argument of it give another place, or, if it makes that once, "
                    "run it before"
                )


def mirrored(original: Path, scratch: Path) -> Mirror:
    """Make a folder under `scratch` that looks like `original`, seen from inside it."""
    if not original.is_dir():
        raise BenchError(f"the script's working folder {original} is not there: give --data-dir")
    shutil.rmtree(scratch, ignore_errors=True)
    whole, scratch = original.resolve(), scratch.resolve()
    folder = scratch.joinpath(*whole.parts[1:])
    mirror = Mirror(whole, folder)
    folder.mkdir(parents=True)
    for parent in whole.parents:
        link_siblings(parent, scratch.joinpath(*parent.parts[1:]))
    _fill(mirror, whole, folder, scratch)
    return mirror


def mirror_also(mirror: Mirror, folder: Path, scratch: Path) -> Path:
    """Let a folder that lies elsewhere have a place of its own under `scratch` too; return it."""
    whole, place = folder.resolve(), scratch.resolve()
    for outer in [*reversed(whole.parents), whole][1:]:
        place /= outer.name
        if place.is_symlink():
            place.unlink()
        if not place.exists():
            place.mkdir()
            if outer != whole:
                link_siblings(outer, place)
    for entry in _entries(whole):
        if (own := place / entry.name).is_symlink():
            own.unlink()
        if not os.path.lexists(own):
            _put(mirror, Path(entry.path), own, scratch.resolve())
    return place


def link_siblings(parent: Path, made: Path) -> None:
    """Link what lies in a folder, but for what is there, into another one."""
    for entry in _entries(parent):
        place = made / entry.name
        if not os.path.lexists(place):
            place.symlink_to(entry.path)


def put(original: Path, place: Path) -> None:
    """Put a file or a folder in another place, as a mirror of the folder that it lies in would."""
    _put(Mirror(original.parent, place.parent), original, place, place.parent)


def _fill(mirror: Mirror, folder: Path, made: Path, scratch: Path) -> None:
    for entry in _entries(folder):
        _put(mirror, Path(entry.path), made / entry.name, scratch)


def _put(mirror: Mirror, path: Path, place: Path, scratch: Path) -> None:
    if path.is_symlink():
        place.symlink_to(path.resolve())
    elif path.is_dir():
        if path == scratch or (path / RUN).is_file() or path.name == "__pycache__":
            return
        if path.name in LINKED or (not scratch.is_relative_to(path) and _is_large(path)):
            place.symlink_to(path)
            if path.name not in LINKED:
                mirror.linked[path] = _stamp(path)
        else:
            place.mkdir()
            _fill(mirror, path, place, scratch)
    elif path.is_file():
        _take(mirror, path, place)


def _take(mirror: Mirror, path: Path, place: Path) -> None:
    if path.suffix in CHECKPOINTS or path.stat().st_size <= COPIED_BYTES:
        shutil.copy2(path, place)
    else:
        place.symlink_to(path)
        mirror.linked[path] = _stamp(path)


def _is_large(folder: Path) -> bool:
    count = 0
    for _, _, files in os.walk(folder):
        count += len(files)
        if count > MOST_FILES:
            return True
    return False


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from sorted(found, key=lambda entry: entry.name)
    except OSError:  # nobody may look into it: what leads there fails as it did
        return


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
