"""Memory of a process, its limit, and what counts as having run out."""

from __future__ import annotations

import errno
import mmap
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.machine import memory

LIMITED = """
import torch
from bench.machine.memory import is_out_of_memory, limit_memory
torch.set_num_threads(1)
torch.ones(1000).sum()
limit_memory(200 * 1024**2)
fits = torch.ones(100 * 1024**2, dtype=torch.uint8)
try:
    torch.ones(400 * 1024**2, dtype=torch.uint8)
except RuntimeError as error:
    print("refused", is_out_of_memory(error), len(fits))
"""


def test_past_its_limit_an_allocation_fails_as_out_of_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["refused", "True", str(100 * 1024**2)]


def test_an_allocation_that_no_machine_has_room_for_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert memory.is_out_of_memory(caught.value)


def test_an_array_that_no_machine_has_room_for_is_out_of_memory() -> None:
    with pytest.raises(MemoryError) as caught:
        bytearray(1 << 60)
    assert memory.is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("std::bad_alloc"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_these_errors_are_out_of_memory(error: Exception) -> None:
    assert memory.is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("out of memory"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_other_errors_are_not(error: Exception) -> None:
    assert not memory.is_out_of_memory(error)


def test_resident_memory_grows_by_what_is_written() -> None:
    """Of new pages: an allocator may serve a tensor from memory that it has kept."""
    before = memory.resident()
    kept = mmap.mmap(-1, 64 * 1024**2, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, len(kept), mmap.PAGESIZE):
        kept[page] = 1
    after = memory.resident()
    assert before.anonymous is not None
    assert after.anonymous is not None
    assert after.peak is not None
    assert after.now is not None
    assert after.anonymous - before.anonymous > 0.9 * len(kept)
    assert after.peak >= after.now


def test_a_system_that_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "STATUS", Path("/nowhere"))
    assert memory.resident() == memory.Resident(None, None, None, None)


def test_something_is_available() -> None:
    assert memory.available_bytes() > 0


MIB = 1024**2
STATISTICS = f"anon {30 * MIB}\ninactive_file {50 * MIB}\nslab_reclaimable {8 * MIB}\n"


def cgroup(folder: Path, **files: str) -> Path:
    """Write the files of a cgroup, as the kernel gives them."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("most", "current", "stat", "available"),
    [(100, 90, STATISTICS, 68), (100, 40, STATISTICS, 100), (20, 90, "", 0)],
    ids=["cache gives way", "no more than the limit", "nothing left"],
)
def test_page_cache_that_gives_way_is_available_in_a_cgroup_up_to_its_limit(
    most: int, current: int, stat: str, available: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    cgroup(tmp_path, max=f"{most * MIB}\n", current=f"{current * MIB}\n", stat=stat)
    assert memory.available_bytes() == available * MIB


def test_a_cgroup_of_the_first_version_counts_likewise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    cgroup(
        tmp_path / "memory", limit_in_bytes=f"{100 * MIB}", usage_in_bytes=f"{90 * MIB}",
        stat=f"inactive_file 1\ntotal_inactive_file {50 * MIB}\n",
    )  # fmt: skip
    assert memory.available_bytes() == 60 * MIB


def test_every_trial_shifts_its_heap_by_another_amount() -> None:
    shifts = {len(memory.random_heap_offset()) for _ in range(20)}
    assert len(shifts) > 10
    assert max(shifts) < memory.OFFSET_BYTES
