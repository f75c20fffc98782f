"""Check commits out into a temporary folder, the repository itself untouched, whatever happens.

Each goes through an index of its own (``git checkout-index``), so that not even a run that is
killed leaves a worktree, a lock or a changed index in the repository. What git does not keep there
(data sets, downloads) is put beside the commit's files, copied where it is small and linked where
it is large, and what lies beside the repository is linked; no code of the working tree is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import all_suffixes
from pathlib import Path

from bench.errors import BenchError
from bench.interception.folder import LINKED, link_siblings, put
from bench.launch.temporary import mark, sweep

PREFIX = "bench-ab-"
CODE = tuple(all_suffixes())
"""Endings of what Python imports, compiled extensions too."""
NAMED = 3
NEVER_PUT = frozenset({".git", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Repository:
    """A working tree, and the folder within it from which files are named."""

    top: Path
    within: str

    @classmethod
    def around(cls, folder: Path) -> Repository | None:
        """Return the repository that a folder lies in; None where there is none."""
        try:
            top = Path(_git(folder, "rev-parse", "--show-toplevel")).resolve()
        except BenchError:
            return None
        return cls(top, os.path.relpath(folder.resolve(), top))

    @property
    def is_shallow(self) -> bool:
        """Tell whether only some of its commits were fetched, as CI does."""
        return _git(self.top, "rev-parse", "--is-shallow-repository") == "true"

    def commit(self, name: str) -> str | None:
        """Return the hash of what git calls so; None where it knows no such commit."""
        if name.startswith("-"):
            raise BenchError(f"{name} is neither a commit nor a folder")
        try:
            return _git(self.top, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        except BenchError:
            return None


@contextmanager
def scratch_folder(again: str | None = None) -> Iterator[Path]:
    """Yield a temporary folder, removed at the end; `again` is that of a run that goes on.

    Folders of runs that were killed are swept up.
    """
    parent = Path(tempfile.gettempdir()).resolve()
    sweep(parent, f"{PREFIX}*")
    folder = Path(again) if again else Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    if again:
        if folder.parent != parent or not folder.name.startswith(PREFIX):
            raise BenchError(f"{folder} is no folder that commits are checked out in: set TMPDIR")
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise BenchError(f"can't make {folder} again: {error.strerror}") from None
    try:
        mark(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_out(repository: Repository, commit: str, folder: Path) -> Path:
    """Write a commit's files, and what git does not keep, into a folder; return where they lie."""
    tree = folder / (repository.top.name or "root")
    tree.mkdir(parents=True)
    index = {"GIT_INDEX_FILE": f"{folder}.index"}
    _git(repository.top, "read-tree", commit, **index)
    _git(repository.top, "checkout-index", "--all", f"--prefix={tree}/", **index)
    for root, name, is_code in _unkept(repository.top):
        place = tree / name
        if not is_code and (tree / root).parent.is_dir() and not os.path.lexists(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            put(repository.top / name, place)
    link_siblings(repository.top.parent, folder)
    return tree


def left_out(repository: Repository) -> str | None:
    """Say which code of the working tree lies beside no commit; None where there is none."""
    names = [str(name) for _, name, is_code in _unkept(repository.top) if is_code]
    if not names:
        return None
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"not at a commit, as git keeps no such code: {', '.join(names[:NAMED])}{more}"


def _unkept(top: Path) -> Iterator[tuple[Path, Path, bool]]:
    """Yield what of a working tree git does not keep, with what it lies in, and whether it is code.

    Folders without code are one; of those with some, each entry is by itself.
    """
    listed = _git(top, "ls-files", "--others", "--directory", "-z")
    for root in map(Path, filter(None, listed.split("\0"))):
        todo = [] if NEVER_PUT & set(root.parts) else [root]
        while todo:
            path = top / (name := todo.pop())
            is_code = _is_code(path)
            if is_code and path.is_dir() and not path.is_symlink():
                entries = sorted((entry.name for entry in path.iterdir()), reverse=True)
                todo += [name / entry for entry in entries]
            else:
                yield root, name, is_code


def _is_code(path: Path) -> bool:
    """Tell whether this is a module, compiled or not, or a folder with one, however deep."""
    if path.name in LINKED:
        return False  # an environment, which is no side's own
    if not path.is_dir():
        return path.name.endswith(CODE)
    return any(name.endswith(CODE) for _, _, names in os.walk(path) for name in names)


def _git(folder: Path, *words: str, **changes: str) -> str:
    """Return what a git command prints; raise `BenchError` with what it says where it fails."""
    environment: Mapping[str, str] = {**os.environ, "LC_ALL": "C", **changes}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *words],
            env=environment, capture_output=True, text=True, errors="surrogateescape", check=False,
        )  # fmt: skip
    except OSError as error:
        raise BenchError(f"can't run git: {error.strerror}; install it, or give folders") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise BenchError(f"git {words[0]}: {said[-1] if said else 'it failed'}")
    return done.stdout.strip("\n")
