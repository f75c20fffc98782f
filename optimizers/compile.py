"""Compile: let TorchInductor fuse the model's operators into generated kernels.

What:    torch.compile around the trained model, forward and backward. Weights keep their names.
Helps:   models with many small or pointwise operators, and those bound by Python's overhead.
Hurts:   short trainings: the first steps compile for seconds to minutes (reported apart, cold and
         warm, with the steps that pay it back); shapes that change; complex numbers. Random numbers
         inside the model (dropout, masks) are drawn in another order: equal seeds don't pair them.
Effect:  rounding.
Source:  Ansel et al., PyTorch 2, ASPLOS 2024; torch.compile documentation.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import nn

from bench.errors import NotApplicable
from bench.interception.calls import Call
from bench.interception.script import Script
from bench.interception.writing import Writing
from bench.job import Job
from bench.model.compiled import is_compiled
from bench.model.strided_convolutions import refuse_at_risk, sample_before_striding
from bench.records.plain_loop import PlainLoop
from bench.technique import PASSES, Effect, Parts, Probe, SettingsT, Stage, Technique

Snapshot = Callable[[nn.Module], nn.Module]
NAMING = ("named_parameters", "named_buffers", "named_modules", "state_dict", "load_state_dict")
WRITTEN = '''
import functools

import torch


@functools.cache
def compiled(model):
    """Return a compiled form of a model, which shares its weights."""
    return torch.compile(model, mode={mode!r}, dynamic={dynamic!r})


def compiled_in_training(model):
    """Return a model's compiled form where it is trained, else the model."""
    return compiled(model) if torch.is_grad_enabled() else model
'''


class Compile(Technique):
    """Train a compiled model; what is deployed is the plain one with the same weights."""

    name: ClassVar[str] = "compile"
    stage: ClassVar[Stage] = Stage.COMPILE
    effect: ClassVar[Effect] = Effect.ROUNDING
    touches: ClassVar[Parts | None] = PASSES

    mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] = (
        Field("default", description="how hard the compiler tries")
    )
    dynamic: bool | None = Field(
        None, description="compile for changing shapes: true, false, or null to find out"
    )

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Ask for batches of one shape, where the baseline can: each other shape compiles anew."""
        if getattr(settings, "static_shapes", None) is False and not self.dynamic:
            return settings.model_copy(update={"static_shapes": True})
        return settings

    def apply(self, job: Job) -> Job:
        """Wrap `model` and `snapshot`."""
        _check_compiler(job.device)
        plain = job.model
        if is_compiled(plain):
            raise NotApplicable("the baseline compiles its model itself")
        if job.device.type == "cpu":
            sample_before_striding(plain)  # inductor lays out convolutions channels last by itself
        compiled = cast(nn.Module, torch.compile(plain, mode=self.mode, dynamic=self.dynamic))
        _name_as(compiled, plain)
        job = job.wrap("model", lambda model: compiled, by=self.name)
        job = job.wrap("snapshot", lambda old: _unwrapped(old, compiled, plain), by=self.name)
        return job.relying([compiled], by=self.name)

    def intercept(self, script: Script) -> None:
        """Call a compiled form of trained models where it is for a gradient; evaluate as it is."""
        _check_compiler(script.device)

        def compiled(model: nn.Module) -> Call:
            own = is_compiled(model)
            if own or model._compiled_call_impl is not None:
                raise NotApplicable("the script compiles its model itself")
            if script.device.type == "cpu":
                refuse_at_risk(model)
            return cast(nn.Module, torch.compile(model, mode=self.mode, dynamic=self.dynamic))

        script.call_instead(compiled, by=self.name)

    def write(self, script: Writing) -> None:
        """Call a compiled form of the model where it is trained."""
        lines = WRITTEN.format(mode=self.mode, dynamic=self.dynamic)
        script.call_instead("compiled_in_training", lines, by=self.name)

    def write_loop(self, loop: PlainLoop, job: Job) -> None:
        """Train a compiled form, which shares the model's weights."""
        if loop.device == "cpu":
            refuse_at_risk(job.model)
        line = f"trained = torch.compile(model, mode={self.mode!r}, dynamic={self.dynamic})"
        loop.add("model", line, by=self.name)


def _name_as(compiled: nn.Module, plain: nn.Module) -> None:
    """Let a compiled model's parts have the plain one's names, which losses and optimizers ask for.

    Torch's own begin with ``_orig_mod.``: what takes ``head.`` for another rate would find nothing.
    """
    if compiled is not plain:
        vars(compiled).update({name: getattr(plain, name) for name in NAMING})


def _check_compiler(device: torch.device) -> None:
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise NotApplicable(f"no C++ compiler ({compiler}) on this machine: inductor needs one")


def _unwrapped(old: Snapshot, compiled: nn.Module, plain: nn.Module) -> Snapshot:
    return lambda model: old(plain if model is compiled else model)
