"""CUDA optimizations: switches that let an NVIDIA GPU choose faster kernels and faster arithmetic.

What:    around every step, cuDNN may time its convolution algorithms and keep the fastest, and
         float32 products may use TF32 tensor cores; a baseline that has the setting `pin_memory`
         pins it, and so do the DataLoaders of a script: copies to the device run beside its work.
         The switches are turned back after each step. CUDA graphs are what `compile` captures in
         its mode reduce-overhead.
Helps:   convolutions of constant shapes; float32 products on Ampere and later.
Hurts:   shapes that change, each of which is timed anew; TF32 keeps 10 bits of mantissa.
Effect:  rounding.
Source:  PyTorch, Performance Tuning Guide; PyTorch, CUDA semantics (TF32).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from bench.batches import Batch
from bench.errors import NotApplicable
from bench.interception.pinned import Pinned
from bench.interception.script import Script
from bench.interception.writing import Writing
from bench.job import Job, Mark, Step
from bench.model.float32 import Float32
from bench.technique import Effect, Probe, SettingsT, Stage, Technique

TF32_SINCE = (8, 0)
"""Compute capability of the first GPUs with TF32 (Ampere)."""


class CudaOptimizations(Technique):
    """Turn on what makes steps on a GPU faster."""

    name: ClassVar[str] = "cuda-optimizations"
    stage: ClassVar[Stage] = Stage.PRECISION
    effect: ClassVar[Effect] = Effect.ROUNDING
    rounding: ClassVar[float] = 1e-2

    cudnn_benchmark: bool = Field(True, description="time convolution algorithms, keep the fastest")
    tf32: bool = Field(True, description="TF32 tensor cores for float32 products and convolutions")
    pin_memory: bool = Field(
        True, description="turn on the baseline's pin_memory, if it has it, or that of a script's "
        "loaders",
    )  # fmt: skip

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Turn on `pin_memory` where the baseline has it."""
        if self.pin_memory and getattr(settings, "pin_memory", None) is False:
            return settings.model_copy(update={"pin_memory": True})
        return settings

    def apply(self, job: Job) -> Job:
        """Wrap `step`."""
        tf32 = self._has_tf32(job.device)
        return job.wrap("step", lambda old: self._switched(old, tf32), by=self.name)

    def intercept(self, script: Script) -> None:
        """Turn the switches on for the whole script, and pin what its loaders give.

        Where the script turns a switch off itself it trains without, and so it would with the
        lines: it is measured with what is left on, and said to be without the other.
        """
        tf32 = self._has_tf32(script.device)
        asked = {"cudnn_benchmark": self.cudnn_benchmark, "tf32": tf32}
        switched = [name for name, on in asked.items() if on]
        seen = _Seen(script, Pinned(script))

        @contextmanager
        def throughout() -> Iterator[None]:
            with switches(self.cudnn_benchmark, tf32):
                yield
                seen.off += _turned_off(self.cudnn_benchmark, tf32)

        script.throughout(throughout)
        if self.pin_memory:
            seen.pinned.begin(by=self.name, needed=not switched)
        script.at_end(lambda: seen.check(switched))

    def write(self, script: Writing) -> None:
        """Turn the switches on where the script begins, and pin where its loaders are made."""
        lines = ["import torch"]
        if self.cudnn_benchmark:
            lines.append("torch.backends.cudnn.benchmark = True")
        if self._has_tf32(script.device):
            lines.append("torch.backends.cudnn.allow_tf32 = True")
            lines.append('torch.set_float32_matmul_precision("high")')
        if len(lines) > 1:
            script.at_start("\n".join(lines), by=self.name)
            script.say("what the script itself turns off after these lines is off", by=self.name)
        if self.pin_memory and (script.sites.pinnable or len(lines) == 1):
            script.pin_loaders(by=self.name)

    def _has_tf32(self, device: torch.device) -> bool:
        """Return whether TF32 is to be used; raise `NotApplicable` where nothing can be."""
        if device.type != "cuda":
            raise NotApplicable(f"needs a CUDA device: this run is on the {device.type}")
        tf32 = self.tf32 and torch.cuda.get_device_capability(device) >= TF32_SINCE
        if not (tf32 or self.cudnn_benchmark or self.pin_memory):
            raise NotApplicable("nothing is left to turn on: this GPU has no TF32")
        return tf32

    def _switched(self, old: Step, tf32: bool) -> Step:
        def step(job: Job, batch: Batch, optimizer: Optimizer, mark: Mark) -> Tensor:
            with switches(self.cudnn_benchmark, tf32):
                return old(job, batch, optimizer, mark)

        return step


@dataclass
class _Seen:
    """What a script made of the switches, and what is pinned of it."""

    script: Script
    pinned: Pinned
    off: list[str] = field(default_factory=list)
    """Settings whose switches it has turned off."""

    def check(self, switched: list[str]) -> None:
        """Say what was undone; raise `NotApplicable` where nothing is left, or all was there."""
        left = set(switched) - set(self.off) or self.pinned.gives
        if self.script.rehearsed and not left:
            raise NotApplicable(self._why_nothing())
        for one in self.off:
            self.script.untold[f"gain of {one}"] = "the script turns it off itself"

    def _why_nothing(self) -> str:
        if self.off:
            off = ", ".join(self.off)
            return f"the script turns off itself all that was turned on ({off}): take that out"
        if self.pinned.loaders:
            return "the script's DataLoaders give no batch that can be pinned: dense, on the CPU"
        return "the script's DataLoaders pin their batches already"


def _turned_off(benchmark: bool, tf32: bool) -> list[str]:
    """Return the settings of what was asked for, and is off now."""
    now = Float32.now()
    off = [(benchmark, not torch.backends.cudnn.benchmark, "cudnn_benchmark")]
    off.append((tf32, now.in_full("matmul") or now.in_full("conv"), "tf32"))
    return [name for asked, is_off, name in off if asked and is_off]


@contextmanager
def switches(benchmark: bool, tf32: bool) -> Iterator[None]:
    """Turn on cuDNN's timing and TF32, where asked for, and turn them back."""
    cudnn, before = torch.backends.cudnn, Float32.now()
    was, cudnn.benchmark = cudnn.benchmark, cudnn.benchmark or benchmark
    if tf32:
        cudnn.allow_tf32 = True
        torch.set_float32_matmul_precision("medium" if before.products == "medium" else "high")
    try:
        yield
    finally:
        cudnn.benchmark = was
        before.put_back()
