"""Remember which code a user has named on a command line: other code is not run unasked.

A run's folder says which files to run when it is resumed, and whoever made the folder said so. Code
is known by its content, so that a folder of one's own may be moved and copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from bench.data.cache import cache_folder
from bench.errors import BenchError
from bench.recipes.source import Source, Sources

FOLDER = "named-code"


def remember(sources: Sources) -> None:
    """Note that the user has named this code; where nothing can be kept, it is asked for again."""
    try:
        folder = cache_folder() / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        for source in sources.values():
            (folder / source.sha256).touch()
    except (OSError, BenchError):
        return


def strangers(sources: Sources) -> list[Source]:
    """Return the code that the user has never named."""
    try:
        known = {path.name for path in (cache_folder() / FOLDER).iterdir()}
    except (OSError, BenchError):
        known = set()
    return [source for source in sources.values() if source.sha256 not in known]


def check(sources: Sources, path: Path, trusted: bool, note: Callable[[str], None]) -> None:
    """Say what code is executed; refuse what was never named on a command line here."""
    unknown: list[Source] = strangers(sources)
    if unknown and not trusted:
        raise BenchError(
            f"{path} names code that was not given on a command line here: "
            f"{described(unknown)}; read it, then add --trust to run it"
        )
    if unknown:
        note(f"running, as {path} names it: {described(unknown)}")
        remember(sources)


def described(sources: Iterable[Source]) -> str:
    """Return files with the beginnings of their hashes, in one line."""
    return ", ".join(f"{source.path} (sha256 {source.sha256[:12]})" for source in sources)
