"""Fused optimizer: update all weights in a few kernels instead of a loop over tensors.

What:    the baseline's torch optimizer is made again with the same options in its fused form (one
         kernel for many tensors) or its foreach form (one call an operation for all tensors).
Helps:   models of many small tensors; optimizers with state (Adam), whose update reads much memory.
Hurts:   nothing but memory for foreach, which keeps intermediates as large as the weights.
Effect:  rounding.
Source:  torch.optim documentation, on foreach and fused implementations.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import nn
from torch.optim import Optimizer

from bench.errors import NotApplicable
from bench.job import Job
from bench.technique import Effect, Stage, Technique

FORMS = ("fused", "foreach")
Make = Callable[[nn.Module], Optimizer]


class FusedOptimizer(Technique):
    """Make the baseline's optimizer in its fused form."""

    name: ClassVar[str] = "fused-optimizer"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.ROUNDING

    form: Literal["fused", "foreach"] = Field(
        "fused", description="fused: one kernel for many tensors; foreach: one call an operation"
    )

    def apply(self, job: Job) -> Job:
        """Wrap `make_optimizer`, having made one to see that it can be done."""
        self._remade(job.make_optimizer(job.model), job.device.type)

        def wrapper(old: Make) -> Make:
            return lambda model: self._remade(old(model), job.device.type)

        return job.wrap("make_optimizer", wrapper, by=self.name)

    def _remade(self, made: Optimizer, device: str) -> Optimizer:
        """Return the same optimizer in the form asked for; raise `NotApplicable` if it has none."""
        kind, accepted = type(made), inspect.signature(type(made)).parameters
        name = kind.__name__
        if kind.__module__.partition(".")[0] != "torch":
            raise NotApplicable(f"{name} is not one of torch.optim: only those have a fused form")
        if self.form not in accepted:
            raise NotApplicable(f"torch.optim.{name} has no {self.form} form")
        if all(in_use(group, device) == self.form for group in made.param_groups):
            raise NotApplicable(f"the baseline's {name} is in its {self.form} form already")
        form = {one: one == self.form for one in FORMS if one in accepted}
        options = {key: value for key, value in made.defaults.items() if key in accepted}
        try:
            return kind([group | form for group in made.param_groups], **(options | form))
        except (RuntimeError, ValueError) as error:
            raise NotApplicable(f"torch.optim.{name} has no {self.form} form: {error}") from error


def in_use(group: dict[str, Any], device: str) -> str:
    """Return the form in which a group is updated, as torch chooses where none is said."""
    said = next((one for one in FORMS if group.get(one)), None)
    if said or group.get("foreach") is False or group.get("fused") is False:
        return said or "loop"
    return "foreach" if device == "cuda" and "foreach" in group else "loop"
