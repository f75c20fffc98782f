"""Measure and limit the memory of this process, from Linux's ``/proc`` inside the trial itself."""

from __future__ import annotations

import contextlib
import resource
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

STATUS = Path("/proc/self/status")
CGROUP = Path("/sys/fs/cgroup")
OFFSET_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Resident:
    """Resident set sizes of this process in bytes; None where the system doesn't tell."""

    now: int | None
    peak: int | None
    anonymous: int | None
    file: int | None


def resident() -> Resident:
    """Read the resident set and its peak (``VmHWM``, which starts anew in a forked process)."""
    if not STATUS.exists():
        return Resident(None, None, None, None)
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    kib = {name: int(fields[name].split()[0]) * 1024 for name in fields if name in _READ}
    return Resident(
        kib.get("VmRSS"),
        kib.get("VmHWM"),
        kib.get("RssAnon"),
        kib.get("RssFile", 0) + kib.get("RssShmem", 0) if "RssFile" in kib else None,
    )


def random_heap_offset() -> bytearray:
    """Return a random number of bytes, up to 64 KiB, to be held for as long as a trial lives.

    Trials are forks of one server, with its heap at its addresses. What the allocator makes of the
    same requests then repeats exactly in every trial of an arm, and differs between arms by as
    little as the lengths of their names. Shifted anew in each trial, that luck is noise, which
    intervals show, instead of a difference that they don't.
    """
    return bytearray(secrets.randbelow(OFFSET_BYTES))


def children_bytes() -> int:
    """Return the private memory of the living processes that this one has started, and theirs."""
    import psutil

    total = 0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended since, or was never ours to ask
            total += int(child.memory_full_info().uss)
    return total


_READ = frozenset({"VmRSS", "VmHWM", "RssAnon", "RssFile", "RssShmem"})


class _CgroupFiles(NamedTuple):
    """How a version of cgroups names its files, and the statistics of what gives way."""

    limit: str
    used: str
    reclaimable: tuple[str, ...]


_CGROUPS = MappingProxyType({
    ".": _CgroupFiles("memory.max", "memory.current", ("inactive_file", "slab_reclaimable")),
    "memory": _CgroupFiles(
        "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file",)
    ),
})  # fmt: skip
"""Version 2, and version 1, by their folders in `CGROUP`.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""


def available_bytes() -> int:
    """Return what the machine, or this process's cgroup, can still give without swapping."""
    import psutil

    free = int(psutil.virtual_memory().available)
    rooms = (_room_in(CGROUP / folder, files) for folder, files in _CGROUPS.items())
    return min([free, *(room for room in rooms if room is not None)])


def _room_in(folder: Path, files: _CgroupFiles) -> int | None:
    """Return what a cgroup's limit leaves: page cache gives way, and is not counted as used."""
    limit, used = _number(folder / files.limit), _number(folder / files.used)
    if limit is None or used is None:
        return None
    given_back = sum(_statistics(folder / "memory.stat").get(name, 0) for name in files.reclaimable)
    return max(0, limit - max(0, used - given_back))


def limit_memory(extra_bytes: int) -> None:
    """Limit the growth of this process's private memory; past it an allocation fails (ENOMEM)."""
    if not sys.platform.startswith("linux"):
        return
    fields = STATUS.read_text().splitlines()
    data = next(int(f.split()[1]) * 1024 for f in fields if f.startswith("VmData:"))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = data + extra_bytes
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that memory ran out, on the CPU or on CUDA."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    signs = ("can't allocate memory", "std::bad_alloc", "out of memory", "Cannot allocate memory")
    return isinstance(error, RuntimeError | OSError) and any(sign in str(error) for sign in signs)


def kernel_kills() -> int | None:
    """Return how many processes the kernel has killed for want of memory so far."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _statistics(path: Path) -> dict[str, int]:
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {name: int(value) for name, value in lines}
