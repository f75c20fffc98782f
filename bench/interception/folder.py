"""A working folder of a trial's own, which looks like the script's: what it writes stays in there.

Folders are made anew, small files and checkpoints copied, large files and large folders linked. Its
parents are there too, with links to what lies in them, so that ``../data`` leads where it did; a
script that lies elsewhere has its own folder made anew too. What a link of the user's leads to is
put in its place as if it lay there, once: a link to what has its place leads to that.
Nothing is written through a link: a folder that the recipe's code is put in becomes a real one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError

COPIED_BYTES = 2**20
"""Files up to this size are copied."""
CHECKPOINTS = frozenset({".pt", ".pth", ".ckpt", ".safetensors"})
"""Endings of files that a script may write over in place: copied, whatever their size."""
DATA = frozenset({".bin", ".pkl", ".npz", ".db"})
"""Endings of such files that may be data sets, too: copied up to ..."""
DATA_BYTES = 2**31
"""... this size. A folder elsewhere of which more would be copied is linked."""
MOST_FILES = 500
"""A folder that holds more, with those inside it, is linked."""
MOST_LOOKED_AT = 20_000
"""Files of a linked folder that are watched by size and date; of more, those that scripts write
over in place, and which there are."""
LINKED = frozenset({".git", ".hg", ".venv", "venv", "node_modules", ".tox", ".mypy_cache"})
RUN, OURS = "run.json", ("trials.jsonl", "scratch")
"""What tells our own results, which no script reads: the first, with one of the others."""


@dataclass
class Mirror:
    """A folder that looks like another one."""

    original: Path
    folder: Path
    root: Path
    """What the mirror is made in: nothing outside is written to."""
    linked: dict[Path, int] = field(default_factory=dict)
    """What all trials share, with the stamp that it had when it was linked."""
    places: dict[Path, Path] = field(init=False)
    """Where the mirror is of what lies in each folder, or of a file that a link leads to."""

    def __post_init__(self) -> None:
        """Know the first place."""
        self.places = {self.original: self.folder}

    def place_of(self, path: Path) -> Path | None:
        """Return where the mirror of something is; None where it has none."""
        for outer in (path, *path.parents):
            if outer in self.places:
                return self.places[outer] / path.relative_to(outer)
        return None

    def link(self, path: Path, place: Path) -> None:
        """Let trials share something, and watch it."""
        place.symlink_to(path)
        self.linked[path] = _stamp(path)

    def make_own(self, folder: Path) -> None:
        """Let a folder of the mirror, and those it lies in, be real ones: what they hold is linked.

        What was linked as a whole stays watched as a whole.
        """
        for one in (*reversed(folder.parents), folder):
            if not (one.is_relative_to(self.root) and one.is_symlink()):
                continue
            target = one.readlink()
            if target.is_relative_to(self.root):
                self.make_own(target)
                continue
            one.unlink()
            one.mkdir()
            for entry in _entries(target):
                if not (entry.is_dir() and _is_left_out(Path(entry.path))):
                    (one / entry.name).symlink_to(entry.path)

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
    mirror = Mirror(whole, folder, scratch)
    folder.mkdir(parents=True)
    for parent in whole.parents:
        link_siblings(parent, scratch.joinpath(*parent.parts[1:]))
    _fill(mirror, whole, folder, scratch)
    return mirror


def mirror_also(mirror: Mirror, folder: Path, scratch: Path) -> Path:
    """Let a folder that lies elsewhere have a place of its own under `scratch` too; return it.

    Where it was put in the place of a link before, a link is there again.
    """
    whole, place = folder.resolve(), scratch.resolve()
    before, made = mirror.place_of(whole), place.joinpath(*whole.parts[1:])
    if before == made and not made.is_symlink():
        return made
    if before is not None and os.path.lexists(before):
        _take_away(mirror, before)
    else:
        before = None
    for outer in [*reversed(whole.parents), whole][1:]:
        place /= outer.name
        if place.is_symlink():
            place.unlink()
        if not place.exists():
            place.mkdir()
            if outer != whole:
                link_siblings(outer, place)
    mirror.places[whole] = place
    for entry in _entries(whole):
        if (own := place / entry.name).is_symlink():
            own.unlink()
        if not os.path.lexists(own):
            _put(mirror, Path(entry.path), own, scratch.resolve())
    if before is not None and before != place:
        before.symlink_to(place)
    return place


def _take_away(mirror: Mirror, place: Path) -> None:
    """Remove what stands in a place, and forget what was put in there."""
    for inner in [one for one, put_in in mirror.places.items() if put_in.is_relative_to(place)]:
        del mirror.places[inner]
    if place.is_symlink():
        place.unlink()
    else:
        shutil.rmtree(place)


def link_siblings(parent: Path, made: Path) -> None:
    """Link what lies in a folder, but for what is there, into another one."""
    for entry in _entries(parent):
        place = made / entry.name
        if not os.path.lexists(place):
            place.symlink_to(entry.path)


def put(original: Path, place: Path) -> None:
    """Put a file or a folder in another place, as a mirror of the folder that it lies in would.

    A link leads where it did: what lies beside it may not be there.
    """
    if original.is_symlink():
        place.symlink_to(os.path.realpath(original))
    else:
        _put(Mirror(original.parent, place.parent, place.parent), original, place, place.parent)


def _fill(mirror: Mirror, folder: Path, made: Path, scratch: Path) -> None:
    for entry in _entries(folder):
        _put(mirror, Path(entry.path), made / entry.name, scratch)


def _put(mirror: Mirror, path: Path, place: Path, scratch: Path) -> None:
    if path.is_symlink():
        _follow(mirror, Path(os.path.realpath(path)), place, scratch)
    elif path.is_dir():
        if path == scratch or _is_left_out(path):
            return
        if path.name in LINKED:
            place.symlink_to(path)
        elif not scratch.is_relative_to(path) and _files(path) is None:
            mirror.link(path, place)
        else:
            place.mkdir()
            _fill(mirror, path, place, scratch)
    elif path.is_file():
        _take(mirror, path, place)


def _follow(mirror: Mirror, target: Path, place: Path, scratch: Path) -> None:
    """Put what a link leads to in the link's place; in a circle of links, each folder once."""
    around = any(inner.is_relative_to(target) for inner in (mirror.original, scratch))
    if (known := mirror.place_of(target)) is not None:
        place.symlink_to(known)
    elif around or place.name in LINKED or not _is_readable(target):
        place.symlink_to(target)
    elif target.is_file():
        mirror.places[target] = place
        _take(mirror, target, place)
    elif (files := _files(target)) is None or _is_heavy(files):
        mirror.link(target, place)
    else:
        mirror.places[target] = place
        place.mkdir()
        _fill(mirror, target, place, scratch)


def _take(mirror: Mirror, path: Path, place: Path) -> None:
    if _is_copied(path):
        shutil.copy2(path, place)
    else:
        mirror.link(path, place)


def _is_copied(path: Path) -> bool:
    size = path.stat().st_size
    data = path.suffix in DATA and size <= DATA_BYTES
    small = size <= COPIED_BYTES or path.suffix in CHECKPOINTS or data
    return small and os.access(path, os.R_OK)


def _is_left_out(folder: Path) -> bool:
    """Tell whether a folder holds our own results, or what Python keeps of imported files."""
    if folder.name == "__pycache__":
        return True
    return (folder / RUN).is_file() and any((folder / name).exists() for name in OURS)


def _is_readable(path: Path) -> bool:
    return os.access(path, os.R_OK) and (path.is_file() or path.is_dir())


def _files(folder: Path) -> list[Path] | None:
    """Return the files in a folder, and in those inside it; None where it is a large one."""
    found: list[Path] = []
    for inner, _, names in os.walk(folder):
        found += [Path(inner, name) for name in names]
        if len(found) > MOST_FILES:
            return None
    return found


def _is_heavy(files: list[Path]) -> bool:
    copied = (one for one in files if one.is_file() and _is_copied(one))
    return sum(one.stat().st_size for one in copied) > DATA_BYTES


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from sorted(found, key=lambda entry: entry.name)
    except OSError:  # nobody may look into it: what leads there fails as it did
        return


def _stamp(path: Path) -> int:
    """Return what changes where a file is written to, or anything that lies in a folder."""
    if path.is_dir():
        return sum(map(hash, _within(path)))
    found = path.stat()
    return hash((found.st_size, found.st_mtime_ns))


def _within(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and time of change of all that lies in a folder, in one order."""
    todo, seen = [folder], 0
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as found:
            for entry in sorted(found, key=lambda entry: entry.name):
                if not entry.is_dir(follow_symlinks=False):
                    seen += 1
                    ending = Path(entry.name).suffix.lower()
                    if seen > MOST_LOOKED_AT and ending not in CHECKPOINTS | DATA:
                        yield entry.path, 0, 0
                        continue
                    gone = entry.is_symlink() and not os.access(entry.path, os.F_OK)
                    known = entry.stat(follow_symlinks=not gone)
                    yield entry.path, known.st_size, known.st_mtime_ns
                elif entry.name not in LINKED and not _is_left_out(inner := Path(entry.path)):
                    todo.append(inner)
                    yield entry.path, 0, 0
