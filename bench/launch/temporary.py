"""The folder of multiprocessing's sockets: marked as a run's own, swept up if that was killed.

A run that ends removes its own. One that was killed can't, and left a ``pymp-*`` folder each time.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.errors import BenchError

MARK = "bench.pid"
PROC = Path("/proc")
NONE = "-"
"""What is written of a host, a namespace or a boot that the system does not tell."""
TOLERANCE_SECONDS = 2.0
"""By which the start of one process may be told differently."""
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


class Owner(NamedTuple):
    """The process that a folder is of: its number is one of its namespace, boot and host."""

    host: str
    namespace: str
    boot: str
    pid: int
    started: float
    """Seconds, by no clock that is set where the system tells these."""

    @classmethod
    def here(cls) -> Owner:
        """Return this process."""
        pid = os.getpid()
        return cls(platform.node() or NONE, _namespace(), _boot(), pid, _started(pid))

    @classmethod
    def read(cls, text: str) -> Owner:
        """Read what `text` writes; raise `ValueError` for anything else."""
        host, namespace, boot, pid, started = text.split()
        return cls(host, namespace, boot, int(pid), float(started))

    @property
    def text(self) -> str:
        """Return it in one line."""
        return " ".join(map(str, self))


def mark(folder: Path) -> None:
    """Say in a folder which process it is of."""
    with contextlib.suppress(OSError, psutil.Error):
        (folder / MARK).write_text(Owner.here().text)


def sweep(parent: Path, pattern: str) -> None:
    """Remove folders whose processes were killed."""
    for own in parent.glob(f"{pattern}/{MARK}"):
        if _is_orphaned(own):
            shutil.rmtree(own.parent, ignore_errors=True)


def _is_orphaned(own: Path) -> bool:
    """Tell whether a folder is this user's, and the process that made it, here, is no more.

    Of what runs on another host or in another container that shares the folder nothing is known.
    """
    try:
        if own.parent.lstat().st_uid != os.getuid():
            return False
        owner, here = Owner.read(own.read_text()), Owner.here()
        if (owner.host, owner.namespace) != (here.host, here.namespace):
            return False
        return owner.boot != here.boot or not _is_alive(owner)
    except (OSError, ValueError, psutil.Error):
        return False


def _is_alive(owner: Owner) -> bool:
    try:
        return abs(_started(owner.pid) - owner.started) <= TOLERANCE_SECONDS
    except psutil.NoSuchProcess:
        return False


def _started(pid: int) -> float:
    """Return when a process began: since the machine did, which no set clock moves, if told.

    Raises `psutil.NoSuchProcess`. Source: proc_pid_stat(5), field 22.
    """
    if not (PROC / "self" / "stat").exists():
        return psutil.Process(pid).create_time()
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _namespace() -> str:
    """Return what tells the numbers of a container's processes from all others."""
    try:
        return str((PROC / "self" / "ns" / "pid").readlink())
    except OSError:
        return NONE


def _boot() -> str:
    try:
        return (PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip() or NONE
    except OSError:
        return NONE
