"""A running training script: what techniques can change of it, and what is seen of it.

A technique's `intercept` is given a `Script` before the script starts, and says what is to be done
with the models, optimizers and loaders that will come. Trained models are those that the script
calls by themselves, with a gradient, and of whose weights one is some optimizer's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from bench.errors import NotApplicable
from bench.interception.calls import Call, Calls
from bench.interception.events import Kind, Recorder
from bench.interception.patches import Patches
from bench.random_state import undisturbed

Wrapper = Callable[[nn.Module, Call], Call]
LEARNT = 2
"""Steps of every optimizer after which it is known which modules the script calls."""
MOST_MODELS = 4
"""Trained models that a technique changes unasked: more are rather the parts of one."""


class Ended(BaseException):
    """Raised within a script to end it."""


@dataclass(frozen=True, slots=True)
class Limit:
    """When a script has made steps enough: at least `steps` and `seconds`, or `most`."""

    steps: int
    seconds: float
    most: int

    def reached(self, steps: int, seconds: float) -> bool:
        """Tell whether so many steps in so many seconds are enough."""
        return steps >= self.most or (steps >= self.steps and seconds >= self.seconds)


@dataclass
class Script:
    """A script that is going to be run, or runs."""

    device: torch.device
    recorder: Recorder
    limit: Limit | None = None
    model: str | None = None
    """The class of the modules that techniques change; None: all trained models."""
    rehearsed: bool = False
    """Whether it is run for a few steps that nobody times: techniques may look closely then."""
    on_enough: Callable[[], None] = lambda: None
    models: list[nn.Module] = field(default_factory=list)
    refused: NotApplicable | None = None
    _changes: list[tuple[str, Callable[[nn.Module], None]]] = field(default_factory=list)
    _wrappers: list[tuple[str, Wrapper]] = field(default_factory=list)
    _makers: list[tuple[str, Callable[[nn.Module], Call]]] = field(default_factory=list)
    _on_optimizers: list[tuple[str, Callable[[Optimizer], None]]] = field(default_factory=list)
    _on_loaders: list[tuple[str, Callable[[DataLoader[Any]], None]]] = field(default_factory=list)
    _throughout: list[Callable[[], AbstractContextManager[object]]] = field(default_factory=list)
    _checks: list[Callable[[], None]] = field(default_factory=list)
    going_back: bool = False
    """Whether a backward pass runs: what it calls was called before, and is computed again."""
    changing: bool = False
    """Whether a technique is at work: optimizers that it makes are none of the script's."""
    _waiting: dict[str, str] = field(default_factory=dict)
    """By technique: what has not come yet that it changes."""

    def each_model(self, change: Callable[[nn.Module], None], by: str) -> None:
        """Change every trained model in place, before it is first called for a gradient."""
        self._changes.append((by, change))
        self._waiting[by] = "calls no trained model for a gradient"

    def around_training(self, wrapper: Wrapper, by: str) -> None:
        """Call ``wrapper(model, call)(...)`` for ``call(...)`` where it is for a gradient."""
        self._wrappers.append((by, wrapper))
        self._waiting[by] = "calls no trained model for a gradient"

    def call_instead(self, make: Callable[[nn.Module], Call], by: str) -> None:
        """Call ``make(model)(...)`` in the place of a trained model, where it is for a gradient.

        What `around_training` was told is around it.
        """
        self._makers.append((by, make))
        self._waiting[by] = "calls no trained model for a gradient"

    def each_optimizer(self, change: Callable[[Optimizer], None], by: str) -> None:
        """Change every optimizer in place before its first step, and once its state was loaded."""
        self._on_optimizers.append((by, change))
        self._waiting[by] = "makes no step of a torch.optim optimizer"

    def each_loader(self, change: Callable[[DataLoader[Any]], None], by: str) -> None:
        """Change every DataLoader before it is first drawn from."""
        self._on_loaders.append((by, change))
        self._waiting[by] = "draws no batch from a DataLoader"

    def at_end(self, check: Callable[[], None]) -> None:
        """Call `check` once the script has ended; it may raise `NotApplicable`."""
        self._checks.append(check)

    def end(self, refusal: NotApplicable) -> NoReturn:
        """End the script from within what a technique was asked to do: it can't be applied."""
        self.refused = refusal
        raise Ended from refusal

    def throughout(self, context: Callable[[], AbstractContextManager[object]]) -> None:
        """Run the script within a context."""
        self._throughout.append(context)

    def check_acted(self) -> None:
        """Raise what a technique said; `NotApplicable` where what one changes never came."""
        if self.refused is not None:
            raise self.refused
        for by, what in self._waiting.items():
            raise NotApplicable(f"{by} changes nothing here: the script {what}")
        for check in self._checks:
            check()

    # what follows is called by what watches

    def contexts(self, stack: ExitStack) -> None:
        """Enter the contexts that techniques asked for."""
        for context in self._throughout:
            stack.enter_context(context())

    def change(self, what: list[tuple[str, Callable[[Any], None]]], one: object) -> None:
        """Let techniques change something; where one refuses, end the script."""
        for by, change in what:
            self.changing = True
            try:
                with undisturbed(self.device):
                    change(one)
            except NotApplicable as refusal:
                self.end(refusal)
            finally:
                self.changing = False
            self._waiting.pop(by, None)

    def changes_model(self, model: nn.Module, call: Call) -> Call:
        """Change a model that is about to be called for a gradient; return its call from now on."""
        if self.model is not None and type(model).__name__ != self.model:
            return call
        self.models.append(model)
        self._hold_count()
        self.change(self._changes, model)
        for by, make in self._makers:
            try:
                call = make(model)
            except NotApplicable as refusal:
                self.end(refusal)
            self._waiting.pop(by, None)
        for by, wrapper in self._wrappers:
            call = wrapper(model, call)
            self._waiting.pop(by, None)
        return call

    def changes_optimizer(self, optimizer: Optimizer) -> None:
        """Change an optimizer that is about to step."""
        self.change(self._on_optimizers, optimizer)

    def changes_loader(self, loader: DataLoader[Any]) -> None:
        """Change a loader that is about to be drawn from."""
        self.change(self._on_loaders, loader)

    @property
    def _changes_models(self) -> bool:
        return bool(self._changes or self._makers or self._wrappers)

    def _hold_count(self) -> None:
        """Refuse to guess among many modules."""
        if self.model or len(self.models) <= MOST_MODELS or not self._changes_models:
            return
        kinds = ", ".join(dict.fromkeys(type(model).__name__ for model in self.models))
        self.end(
            NotApplicable(
                f"the script calls more than {MOST_MODELS} trained modules by themselves "
                f"({kinds}): say which class is meant with --model"
            )
        )


class Watch:
    """Watches a script by torch's own hooks and a few functions that it calls."""

    def __init__(self, script: Script, patches: Patches) -> None:
        self.script, self.recorder = script, script.recorder
        self.steps = 0
        """Finished steps of the optimizer that stepped first."""
        self._begun = 0.0
        self._optimizers: list[Optimizer] = []
        """In the order of their first steps."""
        self._made: list[Optimizer] = []
        self._own_steps: dict[int, int] = {}
        self._groups: dict[int, int] = {}
        self._depth = 0
        self._known: WeakKeyDictionary[nn.Module, Call] = WeakKeyDictionary()
        self._calls = Calls(patches, self._around)
        self._patch_optimizers(patches)

    def _patch_optimizers(self, patches: Patches) -> None:
        plain, script = Optimizer.__init__, self.script

        def __init__(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            plain(optimizer, *args, **kwargs)
            if not script.changing:
                self._made.append(optimizer)
                self._calls.learn(True)

        patches.replace(Optimizer, "__init__", __init__)

    def _around(self, module: nn.Module, call: Call, args: Any, kwargs: Any) -> Any:
        if self.script.going_back:
            return call(*args, **kwargs)
        if not torch.is_grad_enabled():
            if module.training or not self._is_trained(module):
                return call(*args, **kwargs)
            self.recorder.note(Kind.EVALUATING)
            answer = call(*args, **kwargs)
            self.recorder.note(Kind.EVALUATION)
            return answer
        if not self._is_trained(module):
            return call(*args, **kwargs)
        if not module.training and not self._depth and not self.steps:
            return call(*args, **kwargs)  # a first look at the model, before it is trained
        if module not in self._known:
            self._known[module] = self.script.changes_model(module, call)
        self.recorder.note(Kind.CALLING)
        answer = self._known[module](*args, **kwargs)
        self.recorder.note(Kind.CALL, items_of((args, kwargs)))
        return answer

    def _is_trained(self, module: nn.Module) -> bool:
        if module in self._known:
            return True
        ours = {id(p) for p in module.parameters() if p.requires_grad}
        return any(
            id(p) in ours for made in self._made for group in made.param_groups
            for p in group["params"]
        )  # fmt: skip

    def before_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        """Note that an optimizer is going to step, unless it does so within another's step."""
        self._depth += 1
        if self._depth > 1:
            return
        number = self._number(optimizer)
        if number == 0 and self._is_enough():
            self._depth = 0
            self.script.on_enough()
            raise Ended
        if self._groups.get(id(optimizer)) != id(optimizer.param_groups):
            self._groups[id(optimizer)] = id(optimizer.param_groups)
            self.script.changes_optimizer(optimizer)
        self.recorder.note(Kind.STEPPING, number)

    def after_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        """Note that an optimizer has stepped."""
        self._depth = max(0, self._depth - 1)
        if self._depth:
            return
        number = self._number(optimizer)
        self.recorder.note(Kind.STEP, number)
        self.steps += number == 0
        self._own_steps[number] = self._own_steps.get(number, 0) + 1
        if self._calls.learning and min(map(self._steps_of, self._made), default=0) >= LEARNT:
            self._calls.learn(False)

    def _steps_of(self, optimizer: Optimizer) -> int:
        known = [i for i, one in enumerate(self._optimizers) if one is optimizer]
        return self._own_steps.get(known[0], 0) if known else 0

    def _number(self, optimizer: Optimizer) -> int:
        for number, known in enumerate(self._optimizers):
            if known is optimizer:
                return number
        self._optimizers.append(optimizer)
        return len(self._optimizers) - 1

    def _is_enough(self) -> bool:
        now = time.perf_counter()
        self._begun = self._begun or now
        limit = self.script.limit
        return limit is not None and limit.reached(self.steps, now - self._begun)


def items_of(batch: Any) -> int:
    """Return how many items a batch, or a call, holds; 0 where that can't be told."""
    if isinstance(batch, PackedSequence):
        return int(batch.batch_sizes[0])
    if isinstance(batch, Tensor):
        return batch.shape[0] if batch.dim() else 0
    if isinstance(batch, list | tuple | dict):
        parts = batch.values() if isinstance(batch, dict) else batch
        return next((found for part in parts if (found := items_of(part))), 0)
    return 0
