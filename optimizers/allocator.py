"""Allocator: say whether the C library keeps freed memory or gives it back to the kernel.

What:    mallopt in the training's process. keep: no block gets a mapping of its own, the heap grows
         in large steps and is never trimmed; memory that one step frees serves the next one as it
         is. return: every large block has a mapping of its own, which goes when it is freed.
Helps:   training on the CPU with tensors of many MiB. keep: time, as by default many are mapped,
         filled with zeros page by page, and unmapped again in every step. return: memory, where
         freed blocks lie between living ones, as in gradient checkpointing.
Hurts:   keep: memory, as the heap stays at its peak. return: time, by those page faults. The
         setting can't be read back or undone, so it lasts as long as the process.
Effect:  exact.
Source:  mallopt(3) of the GNU C library: M_MMAP_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from typing import ClassVar, Literal

from pydantic import Field

from bench.errors import NotApplicable
from bench.interception.script import Script
from bench.interception.writing import Writing
from bench.job import Job
from bench.records.plain_loop import PlainLoop
from bench.technique import Effect, Stage, Technique

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -2, -3, -4
"""From malloc.h."""
NEVER = 2**31 - 1
MIB = 1024**2
LARGE = 128 * 1024
"""Bytes from which a block counts as large; glibc begins there, and moves it unless it is set."""


class Allocator(Technique):
    """Set parameters of glibc's malloc."""

    name: ClassVar[str] = "allocator"
    stage: ClassVar[Stage] = Stage.MEMORY
    effect: ClassVar[Effect] = Effect.EXACT

    policy: Literal["keep", "return"] = Field(
        "keep", description="keep freed memory for the next step, or return it at once"
    )
    grow_mib: int = Field(
        64, ge=0, le=2047, description="keep: MiB by which the heap grows at least"
    )

    def apply(self, job: Job) -> Job:
        """Change the process; the job stays as it is."""
        self._set(job.device.type)
        return job.wrap("model", lambda model: model, by=self.name)

    def intercept(self, script: Script) -> None:
        """Change the process that the script runs in."""
        self._set(script.device.type)

    def write(self, script: Writing) -> None:
        """Call mallopt where the script begins."""
        calls = (f"ctypes.CDLL(None).mallopt({p}, {v})" for p, v in self._wanted().items())
        script.at_start("import ctypes\n" + "\n".join(calls), by=self.name)

    def write_loop(self, loop: PlainLoop, job: Job) -> None:
        """Call mallopt before anything is made."""
        calls = (f"ctypes.CDLL(None).mallopt({p}, {v})" for p, v in self._wanted().items())
        loop.add("begin", "import ctypes\n\n" + "\n".join(calls), by=self.name)

    def _wanted(self) -> dict[int, int]:
        """Return parameters of mallopt, and their values."""
        keep = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER, M_TOP_PAD: self.grow_mib * MIB}
        return keep if self.policy == "keep" else {M_MMAP_THRESHOLD: LARGE}

    def _set(self, device: str) -> None:
        if device != "cpu":
            raise NotApplicable(f"tensors on {device} don't come from the C allocator")
        library, version = platform.libc_ver()
        if not sys.platform.startswith("linux") or library != "glibc":
            found = f"{library} {version}".strip() or "no known C library"
            raise NotApplicable(f"mallopt is of Linux' glibc; this is {sys.platform} with {found}")
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in self._wanted().items():
            if mallopt(parameter, value) != 1:
                raise NotApplicable(f"mallopt refused parameter {parameter} = {value}")
