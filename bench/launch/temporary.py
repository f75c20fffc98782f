"""The folder of multiprocessing's sockets: marked as a run's own, swept up if that was killed.

A run that ends removes its own. One that was killed can't, and left a ``pymp-*`` folder each time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from multiprocessing.util import get_temp_dir
from pathlib import Path

import psutil

from bench.errors import BenchError

MARK = "bench.pid"
SHORT_FOLDER = "/tmp"
LONGEST_FOLDER = 70
"""Bytes of a temporary folder's path that leave room for the name of a socket in it."""


def choose_folder() -> None:
    """Let sockets lie in a folder whose path leaves room for their names."""
    before = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_FOLDER:
        tempfile.tempdir = SHORT_FOLDER
    try:
        get_temp_dir()  # multiprocessing makes it once, and keeps to it
    except OSError as error:
        raise BenchError(
            f"can't make a folder in {tempfile.gettempdir()}: {error.strerror}; set TMPDIR"
        ) from None
    finally:
        tempfile.tempdir = before


def mark_own_folder() -> None:
    """Say in this process's folder whose it is, and remove those of runs that were killed."""
    own = Path(get_temp_dir())
    mark(own)
    sweep(own.parent, "pymp-*")


def mark(folder: Path) -> None:
    """Say in a folder which process it is of."""
    with contextlib.suppress(OSError, psutil.Error):
        (folder / MARK).write_text(f"{os.getpid()} {psutil.Process().create_time()}")


def sweep(parent: Path, pattern: str) -> None:
    """Remove folders whose processes were killed."""
    for own in parent.glob(f"{pattern}/{MARK}"):
        if _is_orphaned(own):
            shutil.rmtree(own.parent, ignore_errors=True)


def _is_orphaned(own: Path) -> bool:
    """Tell whether a folder is this user's, and the process that made it is no more."""
    try:
        if own.parent.lstat().st_uid != os.getuid():
            return False
        pid, started = own.read_text().split()
        return psutil.Process(int(pid)).create_time() != float(started)
    except psutil.NoSuchProcess:
        return True
    except (OSError, ValueError, psutil.Error):
        return False
