"""Allocator: let the C library keep freed memory instead of giving it back to the kernel.

What:    mallopt in the training's process: no block gets a mapping of its own, the heap grows in
         large steps and is never trimmed. Memory that one step frees serves the next one as it is.
Helps:   training on the CPU with tensors of many MiB: by default each is mapped, filled with zeros
         page by page, and unmapped again, in every step.
Hurts:   memory: the heap stays at its peak, with what fragmentation leaves unused. The setting
         can't be read back or undone, so it lasts as long as the process.
Effect:  exact.
Source:  mallopt(3) of the GNU C library: M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from typing import ClassVar

from pydantic import Field

from bench.errors import NotApplicable
from bench.job import Job
from bench.technique import Effect, Stage, Technique

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""From malloc.h."""
NEVER = 2**31 - 1
MIB = 1024**2


class Allocator(Technique):
    """Set three parameters of glibc's malloc."""

    name: ClassVar[str] = "allocator"
    stage: ClassVar[Stage] = Stage.MEMORY
    effect: ClassVar[Effect] = Effect.EXACT

    grow_mib: int = Field(64, ge=0, le=2047, description="MiB by which the heap grows at least")

    def apply(self, job: Job) -> Job:
        """Change the process; the job stays as it is."""
        if job.device.type != "cpu":
            raise NotApplicable(f"tensors on {job.device.type} don't come from the C allocator")
        library, version = platform.libc_ver()
        if not sys.platform.startswith("linux") or library != "glibc":
            found = f"{library} {version}".strip() or "no known C library"
            raise NotApplicable(f"mallopt is of Linux' glibc; this is {sys.platform} with {found}")
        mallopt = ctypes.CDLL(None).mallopt
        wanted = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER, M_TOP_PAD: self.grow_mib * MIB}
        for parameter, value in wanted.items():
            if mallopt(parameter, value) != 1:
                raise NotApplicable(f"mallopt refused parameter {parameter} = {value}")
        return job.wrap("model", lambda model: model, by=self.name)
