"""Processes that another left behind: adopted, so that they are found, told and ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Collection
from pathlib import Path
from time import monotonic, sleep

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PAUSE_SECONDS = 0.02
ROUNDS = 50
"""Of ending what is left, each of which may find what the last one left in turn."""
SHOWN = 80


def adopt_orphans(yes: bool = True) -> None:
    """Become the parent of what descendants leave running when they end (Linux alone can do it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)


def die_with_parent() -> None:
    """Let this process be killed when its parent ends (Linux alone can do it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def children() -> frozenset[int]:
    """Return the ids of this process's own children."""
    return frozenset(child.pid for child in psutil.Process().children())


def is_stopped(pid: int) -> bool:
    """Tell whether a process was told to stand still (SIGSTOP, a debugger)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False


def end_strangers(known: Collection[int], patience_seconds: float) -> tuple[str, ...]:
    """End all children but the known ones, and theirs; return what they were running.

    Some need a moment to see that they are done: they have so long to end by themselves.
    """
    deadline = monotonic() + patience_seconds
    while (left := _strangers(known)) and monotonic() < deadline:
        sleep(PAUSE_SECONDS)
    told = tuple(_described(process) for process in left)
    for _ in range(ROUNDS):
        if not left:
            break
        _kill(left)
        psutil.wait_procs(left, timeout=1)
        left = _strangers(known)
    return told


def end_descendants() -> None:
    """End everything that this process has started, and what that has started."""
    with contextlib.suppress(psutil.Error):
        _kill(psutil.Process().children(recursive=True))


def _strangers(known: Collection[int]) -> list[psutil.Process]:
    found = [child for child in psutil.Process().children() if child.pid not in known]
    return [child for child in found if not _has_ended(child)]


def _has_ended(child: psutil.Process) -> bool:
    """Tell whether a child has ended, and if so take notice of it."""
    try:
        if child.status() != psutil.STATUS_ZOMBIE:
            return False
        os.waitpid(child.pid, os.WNOHANG)
    except (psutil.Error, ChildProcessError):
        pass
    return True


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            for child in process.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
            process.kill()


def _described(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:SHOWN] or process.name()
    except psutil.Error:
        return f"process {process.pid}"
