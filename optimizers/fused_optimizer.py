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
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal
from weakref import WeakSet

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

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
MANY = 100
"""Numbers that are updated to see how: enough for whole vectors of a processor and a rest."""
WRONG = 0.05
"""How far, relatively, an update may be from the plain one: rounding to 16 bits, twice."""
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

        switched = _Once(lambda made: self._switched(made, job.device.type))

        def wrapper(old: Make) -> Make:
            return lambda model: each_changed(old(model), switched)

        wrapper(job.make_optimizer)(job.model)

        return job.wrap("make_optimizer", wrapper, by=self.name)

    def intercept(self, script: Script) -> None:
        """Switch every optimizer before its first step, and again where its state was loaded."""
        seen: set[str] = set()

        def change(made: Optimizer) -> None:
            groups = made.param_groups
            if seen and all(in_use(g, script.device.type) == self.form for g in groups):
                return
            seen.add(type(made).__name__)
            self._switched(made, script.device.type)

        script.each_optimizer(change, by=self.name)

    def write(self, script: Writing) -> None:
        """Ask for the form where each optimizer is made, and for no other: torch takes only one."""
        others = {one: "False" for one in FORMS if one != self.form}
        script.each_optimizer(by=self.name, given=others, **{self.form: "True"})

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
            off = wrong_updates(like) if self.form == "fused" else None
        except (RuntimeError, ValueError) as error:
            said = str(error).strip().partition("\n")[0][:160]
            raise NotApplicable(f"torch.optim.{name} has no {self.form} form: {said}") from error
        if off:
            raise NotApplicable(f"torch's fused {name} {off}; use form=foreach")
        for options in (made.defaults, *made.param_groups):
            options.update(form)
        for flag in SET_WHEN_MADE:
            if hasattr(like, flag):
                setattr(made, flag, getattr(like, flag))
        if self.form == "fused":
            _hold_layouts(made)
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


@dataclass
class _Once:
    """Switches each optimizer once: a baseline may make one beforehand, and give it each time."""

    switch: Callable[[Optimizer], Optimizer]
    done: WeakSet[Optimizer] = field(default_factory=WeakSet)

    not_remembered: ClassVar[frozenset[str]] = frozenset({"done"})

    def __call__(self, made: Optimizer) -> Optimizer:
        if made not in self.done:
            self.done.add(self.switch(made))
        return made


def wrong_updates(fused: Optimizer) -> str | None:
    """Return what is wrong, if anything, with how it updates a few numbers like its weights.

    Torch 2.13 has a fused SGD for the CPU that leaves most weights of 16 bits as they are.
    """
    for group in fused.param_groups:
        kinds = {(weight.dtype, weight.device) for weight in group["params"]}
        for dtype, device in sorted(kinds, key=str):
            plain, found = (_updated(fused, group, dtype, device, form) for form in (False, True))
            off = (found - plain).abs().max().item() / (plain.abs().max().item() or 1.0)
            if off > WRONG:
                return f"updates {dtype} weights on {device.type} by other numbers: {off:.0%} off"
    return None


def _updated(
    fused: Optimizer, group: Mapping[str, Any], dtype: torch.dtype, device: torch.device, form: bool
) -> Tensor:
    """Return by how much two steps of an optimizer like this one change some numbers of 0."""
    numbers = nn.Parameter(torch.zeros(MANY, dtype=dtype, device=device))
    own = {key: value for key, value in group.items() if key != "params"}
    set_to = {"lr": 0.5, "fused": form, "foreach": False, "weight_decay": 0.0}
    kind: Any = type(fused)
    made: Optimizer = kind([{**own, **set_to, "params": [numbers]}], lr=0.5, fused=form)
    for _ in range(2):  # the second has what the first one left in its state
        numbers.grad = torch.linspace(0.5, 1.5, MANY, device=device).to(dtype)
        made.step()
    return torch.view_as_real(numbers.detach().to(torch.complex128))


def _hold_layouts(made: Optimizer) -> None:
    """Look at each step, from now on, whether what it takes lies as its weights do."""
    if not any(isinstance(one, _Layouts) for one in made._optimizer_step_pre_hooks.values()):
        layouts = _Layouts()
        made.register_step_pre_hook(layouts)
        made.register_load_state_dict_post_hook(layouts.forget)


@dataclass
class _Layouts:
    """Looks at gradients and state: the fused form takes their numbers to lie as their weights' do.

    It looks at all once, and again where the weights are laid out anew, one gets its first gradient
    or state was loaded.
    """

    seen: list[tuple[int, ...]] | None = None
    """The strides of all weights when everything lay alike."""
    without: list[Tensor] = field(default_factory=list)
    """Weights that have had no gradient since then."""
    stepped: bool = False
    """Whether the state is what this optimizer's steps have left: nothing outside made it."""

    def forget(self, made: Optimizer) -> None:
        """Look at everything again: state was loaded."""
        self.seen, self.stepped = None, False

    def __call__(self, made: Optimizer, args: object, kwargs: object) -> None:
        weights = [p for group in made.param_groups for p in group["params"]]
        now = [weight.stride() for weight in weights]
        if now == self.seen and all(weight.grad is None for weight in self.without):
            return
        for weight in weights:
            if weight.grad is not None and not _lie_alike(weight, weight.grad):
                raise NotApplicable(
                    f"the gradient of a weight {tuple(weight.shape)} lies otherwise in memory "
                    f"(strides {weight.grad.stride()} and {weight.stride()}), and the fused form "
                    "would add its numbers to others; use form=foreach"
                )
            self._lay_out(weight, made.state.get(weight, {}))
        _check_late(made)
        before = self.without if now == self.seen else weights
        self.without = [weight for weight in before if weight.grad is None]
        self.seen, self.stepped = now, True

    def _lay_out(self, weight: Tensor, state: dict[str, Any]) -> None:
        """Lay out what own steps left as their weight lies; refuse what comes from elsewhere.

        The script with the lines would not lay it out: it is loaded, or made, before them.
        """
        for name, value in state.items():
            of_each = isinstance(value, Tensor) and value.shape == weight.shape
            if not of_each or _lie_alike(weight, value):
                continue
            if not self.stepped:
                raise NotApplicable(
                    f"the {name} that is loaded for a weight {tuple(weight.shape)}, or made with "
                    f"its optimizer, lies otherwise in memory (strides {value.stride()} and "
                    f"{weight.stride()}), and the fused form would take its numbers for others'; "
                    "use form=foreach"
                )
            state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def _check_late(made: Optimizer) -> None:
    """Refuse momentum where a weight gets its first gradient later than others, as torch raises."""
    for group in made.param_groups if isinstance(made, SGD) else ():
        late = {not made.state[p] for p in group["params"] if p.grad is not None}
        if group["momentum"] and len(late) > 1:
            raise NotApplicable(
                "a weight gets its first gradient after others (a layer left out at times), and "
                "torch's fused SGD has no momentum for it then; use form=foreach"
            )


def _lie_alike(one: Tensor, other: Tensor) -> bool:
    """Tell whether numbers of the same place in two tensors lie at the same place in memory."""
    if other.layout is not torch.strided:
        return True  # torch says itself that it takes none
    steps = zip(one.shape, one.stride(), other.stride(), strict=True)
    return all(size == 1 or a == b for size, a, b in steps)


def in_use(group: Mapping[str, object], device: str) -> str:
    """Return the form in which a group is updated, as torch chooses where none is said."""
    said = next((one for one in FORMS if group.get(one)), None)
    if said or group.get("foreach") is False or group.get("fused") is False:
        return said or "loop"
    return "foreach" if device == "cuda" and "foreach" in group else "loop"
