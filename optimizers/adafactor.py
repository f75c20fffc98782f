"""Adafactor: remember gradients by rows and columns instead of one number a weight.

What:    the baseline's optimizer becomes Adafactor, which keeps no momentum, and of the squared
         gradients of a matrix (or of the last two dims of a kernel) only rows and columns. A step
         is relative to the size of the weights it changes. It stays the same object, so that
         schedulers and hooks which hold it go on working, and a group that maximizes goes on so.
Helps:   memory, where weights take much of it: Adam keeps two numbers a weight, this a few a row.
Hurts:   it is another optimizer: its learning rate means another thing (see `factor`), and small
         kernels (3x3) save less than matrices.
Effect:  learning.
Source:  Shazeer and Stern, Adafactor, ICML 2018; torch.optim.Adafactor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import Field
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim import Adafactor as TorchAdafactor

from bench.errors import NotApplicable
from bench.job import Job
from bench.technique import Effect, Part, Parts, Stage, Technique
from bench.turns import each_changed

Step = Callable[..., float | None]


class Adafactor(Technique):
    """Train with Adafactor."""

    name: ClassVar[str] = "adafactor"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.LEARNING
    touches: ClassVar[Parts | None] = Parts({Part.UPDATE, Part.OPTIMIZER_STATE})

    factor: float = Field(
        10.0, gt=0, description="learning rate (relative to weights), in baseline's rates"
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="as in AdamW")

    def apply(self, job: Job) -> Job:
        """Claim `make_optimizer`; learning rates are those of the optimizer that was there."""
        old = job.make_optimizer
        made = old(job.model)
        if not isinstance(made, Optimizer):
            kind = type(made).__name__
            raise NotApplicable(f"the baseline's optimizer is a {kind}, none of torch.optim's kind")
        if any(p.is_complex() for group in made.param_groups for p in group["params"]):
            raise NotApplicable("torch's Adafactor has no complex weights")
        if isinstance(made, TorchAdafactor):
            raise NotApplicable("the baseline trains with Adafactor already")
        if isinstance(made, SGD) and not any(group["momentum"] for group in made.param_groups):
            raise NotApplicable(
                f"{type(made).__name__} without momentum keeps no numbers beside the weights"
            )

        def turned(made: Optimizer) -> Optimizer:
            return turn(made, self.factor, self.weight_decay)

        def make(model: nn.Module) -> Optimizer:
            return each_changed(old(model), turned)

        return job.claim("make_optimizer", make, by=self.name)


class Relative(TorchAdafactor):
    """Adafactor whose rates are so many times those of its groups, whatever schedule sets them."""

    def __init__(self, groups: list[dict[str, object]], factor: float, weight_decay: float) -> None:
        super().__init__(groups, weight_decay=weight_decay)
        self.factor = factor

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch's has two forms
        """Update once."""
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] = self.factor * group["lr"]
        try:
            return _unhooked(TorchAdafactor.step)(self, closure)
        except RuntimeError as error:
            grads = [p.grad for group in self.param_groups for p in group["params"]]
            if not any(grad is not None and grad.is_sparse for grad in grads):
                raise
            raise NotApplicable(
                "torch's Adafactor takes no sparse gradients, as an embedding with sparse=True has"
            ) from error
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]  # or schedulers warn: see `turn`


def _unhooked(step: Step) -> Step:
    """Return a class's step without torch's hooks, which its subclass's step has run already.

    Torch puts them around the step of each class of which an optimizer is made.
    """
    plain: Step = getattr(step, "__wrapped__", step) if getattr(step, "hooked", False) else step
    return plain


def turn(made: Optimizer, factor: float, weight_decay: float) -> Optimizer:
    """Turn an optimizer that has not stepped yet into Adafactor, in place."""
    kept = ("params", "lr", "maximize")
    groups = [{key: group[key] for key in kept if key in group} for group in made.param_groups]
    like = Relative(groups, factor, weight_decay)
    for group, own in zip(made.param_groups, like.param_groups, strict=True):
        group.update({key: value for key, value in own.items() if key != "params"})
    made.defaults.update({key: value for key, value in like.defaults.items() if key != "lr"})
    made.state.clear()  # some, as Adagrad, begin with numbers of their own
    vars(made).pop("step", None)  # a scheduler put the step of the old class there, to count it
    vars(made).update(factor=factor, _opt_called=True)
    made.__class__ = Relative
    return made
