"""A small git repository, and all of it that comparing its commits must leave as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(folder: Path, *words: str) -> str:
    """Return what git prints."""
    own = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    done = subprocess.run(
        ["git", *own, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def state(folder: Path, temporary: Path) -> tuple[str, ...]:
    """Return worktrees, changes, every file of git's own, its index, and checkouts left over."""
    kept = [git(folder, *words) for words in (("worktree", "list"), ("status", "--short"))]
    inside = sorted(str(path) for path in (folder / ".git").rglob("*"))
    left = [str(path) for path in temporary.glob("bench-ab-*/base/*/*.py")]
    return (*kept, *inside, *left, (folder / ".git" / "index").read_bytes().hex())
