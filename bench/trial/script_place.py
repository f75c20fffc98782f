"""Where a trial's script lies: in a mirror of its working folder, with the code of the recipe.

A script may be started by a link to it. As in plain Python its ``__file__`` is the link then, and
what lies beside the file itself is imported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bench.interception.folder import Mirror, mirror_also, mirrored
from bench.recipes.script import ScriptSettings, script_file
from bench.recipes.source import Sources


@dataclass(frozen=True, slots=True)
class Place:
    """A script in a trial's own folder."""

    mirror: Mirror
    path: Path
    """As it is started."""
    code: Path
    """The folder that its file lies in."""


def own_place(settings: ScriptSettings, main: str, scratch: Path) -> Place:
    """Return the place of a script whose file is called `main`, in a mirror that is made of it."""
    mirror = mirrored(Path(settings.data_dir), scratch)
    given = Path(os.path.normpath(mirror.original / settings.script))
    code = _mirrored(mirror, script_file(given, main).parent, scratch)
    folder = _mirrored(mirror, given.parent, scratch)
    for own in (code, folder):
        mirror.make_own(own)
        own.mkdir(parents=True, exist_ok=True)
    path = folder / given.name
    if folder.resolve() / given.name != code / main:
        path.unlink(missing_ok=True)
        path.symlink_to(code / main)
    return Place(mirror, path, code)


def _mirrored(mirror: Mirror, folder: Path, scratch: Path) -> Path:
    """Return where a folder lies in a mirror; one that lies elsewhere has a place made for it."""
    if folder.is_relative_to(mirror.original):
        return mirror.folder / folder.relative_to(mirror.original)
    return mirror_also(mirror, folder, scratch)


def put_code(place: Place, sources: Sources) -> None:
    """Let the recipe's own code stand beside a script, in the place of what stands there."""
    for name, source in sources.items():
        path, content = place.code / name, source.read()
        place.mirror.make_own(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)
