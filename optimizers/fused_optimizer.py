"""Fused optimizer: update all weights in a few kernels instead of a loop over tensors.

What:    the baseline's torch optimizer is switched to its fused form (one kernel for many tensors)
         or its foreach form (one call an operation for all tensors). It stays the same object, so
         that schedulers and hooks which hold it go on working.
Helps:   models of many small tensors; optimizers with state (Adam), whose update reads much memory.
Hurts:   nothing but memory for foreach, which keeps intermediates as large as the weights.
Effect:  rounding.
Source:  torch.optim documentation, on foreach and fused implementations.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal
from weakref import WeakSet

import torch
from pydantic import Field
from torch import nn
from torch.optim import Optimizer

from bench.errors import NotApplicable
from bench.interception.script import Script
from bench.interception.writing import Writing
from bench.job import Job
from bench.records.plain_loop import PlainLoop
from bench.technique import Effect, Part, Parts, Stage, Technique
from bench.turns import each_changed

WRITTEN = """
for options in (optimizer.defaults, *optimizer.param_groups):
    options.update({form})
"""
FORMS = ("fused", "foreach")
SET_WHEN_MADE = ("_step_supports_amp_scaling", "_need_device_dtype_check_for_fused")
"""What torch's optimizers remember of their form beside the options."""
Make = Callable[[nn.Module], Optimizer]


class FusedOptimizer(Technique):
    """Switch the baseline's optimizer to its fused form."""

    name: ClassVar[str] = "fused-optimizer"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.ROUNDING
    touches: ClassVar[Parts | None] = Parts({Part.UPDATE})

    form: Literal["fused", "foreach"] = Field(
        "fused", description="fused: one kernel for many tensors; foreach: one call an operation"
    )

    def apply(self, job: Job) -> Job:
        """Wrap `make_optimizer`, having switched one to see that it can be done."""

        def switched(made: Optimizer) -> Optimizer:
            return self._switched(made, job.device.type)

        def wrapper(old: Make) -> Make:
            return lambda model: each_changed(old(model), switched)

        wrapper(job.make_optimizer)(job.model)

        return job.wrap("make_optimizer", wrapper, by=self.name)

    def intercept(self, script: Script) -> None:
        """Switch every optimizer before its first step, and again where its state was loaded."""
        seen: WeakSet[Optimizer] = WeakSet()

        def change(made: Optimizer) -> None:
            groups = made.param_groups
            if made in seen and all(in_use(g, script.device.type) == self.form for g in groups):
                return
            seen.add(made)
            self._switched(made, script.device.type)

        script.each_optimizer(change, by=self.name)

    def write(self, script: Writing) -> None:
        """Ask for the form where each optimizer is made."""
        script.each_optimizer(by=self.name, **{self.form: "True"})

    def write_loop(self, loop: PlainLoop, job: Job) -> None:
        """Set the options that torch's optimizers read at each step."""
        accepted = inspect.signature(type(job.make_optimizer(job.model))).parameters
        form = (f"{one}={one == self.form}" for one in FORMS if one in accepted)
        loop.add("optimizer", WRITTEN.format(form=", ".join(form)), by=self.name)

    def _switched(self, made: Optimizer, device: str) -> Optimizer:
        """Return an optimizer switched to the form asked for; raise `NotApplicable` without one."""
        kind, accepted = type(made), inspect.signature(type(made)).parameters
        name = kind.__name__
        if kind.__module__.partition(".")[0] != "torch":
            raise NotApplicable(f"{name} is not one of torch.optim: only those have a fused form")
        if self.form not in accepted:
            raise NotApplicable(f"torch.optim.{name} has no {self.form} form")
        if all(in_use(group, device) == self.form for group in made.param_groups):
            raise NotApplicable(f"the baseline's {name} is in its {self.form} form already")
        self._check_layouts(made)
        form = {one: one == self.form for one in FORMS if one in accepted}
        options = {key: value for key, value in made.defaults.items() if key in accepted}
        try:
            like = kind([group | form for group in made.param_groups], **(options | form))
        except (RuntimeError, ValueError) as error:
            raise NotApplicable(f"torch.optim.{name} has no {self.form} form: {error}") from error
        for options in (made.defaults, *made.param_groups):
            options.update(form)
        for flag in SET_WHEN_MADE:
            if hasattr(like, flag):
                setattr(made, flag, getattr(like, flag))
        return made

    def _check_layouts(self, made: Optimizer) -> None:
        """Refuse a fused form of weights with gaps between their numbers: it writes into these."""
        weights = (p for group in made.param_groups for p in group["params"])
        for weight in weights if self.form == "fused" else ():
            if not torch.ops.aten.is_non_overlapping_and_dense(weight):
                raise NotApplicable(
                    f"a weight {tuple(weight.shape)} is a part of a larger tensor (strides "
                    f"{weight.stride()}), and the fused form takes its numbers to lie side by side"
                )


def in_use(group: Mapping[str, object], device: str) -> str:
    """Return the form in which a group is updated, as torch chooses where none is said."""
    said = next((one for one in FORMS if group.get(one)), None)
    if said or group.get("foreach") is False or group.get("fused") is False:
        return said or "loop"
    return "foreach" if device == "cuda" and "foreach" in group else "loop"
