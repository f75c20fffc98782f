"""A running training script: what techniques can change of it, and what is seen of it.

A technique's `intercept` is given a `Script` before the script starts, and says what is to be done
with the models, optimizers and loaders that will come. Trained models are those that the script
calls by themselves, with a gradient, and of whose weights one is some optimizer's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakSet, ref

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from bench.errors import BenchError, NotApplicable
from bench.interception.calls import Call
from bench.interception.events import Recorder
from bench.random_state import undisturbed

if TYPE_CHECKING:
    from bench.interception.scaling import Scaling

Wrapper = Callable[[nn.Module, Call], Call]
REHEARSED_STEPS = 3
"""Steps of a rehearsal: of what a training comes to later, nothing is seen there."""
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
    on_step: Callable[[int], None] = lambda steps: None
    """Called when the optimizer that stepped first has made so many steps, or left one out."""
    apart: Callable[[], AbstractContextManager[object]] = nullcontext
    """What a model's answer in evaluation is given within."""
    models: list[nn.Module] = field(default_factory=list)
    optimizers: WeakSet[Optimizer] = field(default_factory=WeakSet)
    """All that it has made, and still has."""
    scaling: Scaling | None = None
    """What scales its losses, where a technique asks for that."""
    refused: BenchError | None = None
    stepped: bool = False
    """Whether an optimizer has made a step."""
    steps: int = 0
    """Made by the optimizer that leads."""
    read_in_thread: WeakSet[DataLoader[Any]] = field(default_factory=WeakSet)
    """Loaders whose batches a thread is to draw in the meantime."""
    over: bool = False
    """Whether it was told to end, whatever it makes of that."""
    untold: dict[str, str] = field(default_factory=dict)
    """What can't be told of what techniques do to it, and why."""
    _changes: list[tuple[str, Callable[[nn.Module], None]]] = field(default_factory=list)
    _wrappers: list[tuple[str, Wrapper]] = field(default_factory=list)
    _lookers: list[Wrapper] = field(default_factory=list)
    _makers: list[tuple[str, Callable[[nn.Module], Call]]] = field(default_factory=list)
    _on_optimizers: list[tuple[str, Callable[[Optimizer], None]]] = field(default_factory=list)
    _first_updates: list[Callable[[Optimizer], None]] = field(default_factory=list)
    _on_loaders: list[tuple[str, Callable[[DataLoader[Any]], None]]] = field(default_factory=list)
    _throughout: list[Callable[[], AbstractContextManager[object]]] = field(default_factory=list)
    _checks: list[Callable[[], None]] = field(default_factory=list)
    going_back: bool = False
    """Whether a backward pass runs: what it calls was called before, and is computed again."""
    changing: bool = False
    """Whether a technique is at work: optimizers that it makes are none of the script's."""
    _changed: dict[int, ref[nn.Module]] = field(default_factory=dict)
    """By id: models that were changed in place."""
    _waiting: dict[str, str] = field(default_factory=dict)
    """By technique: what has not come yet that it changes."""
    _kinds: dict[str, None] = field(default_factory=dict)
    """The classes of all trained models, in order."""

    def each_model(self, change: Callable[[nn.Module], None], by: str) -> None:
        """Change every trained model in place, before it is first called for a gradient."""
        self._changes.append((by, change))
        self._waiting[by] = "calls no trained model for a gradient"

    def around_training(self, wrapper: Wrapper, by: str) -> None:
        """Call ``wrapper(model, call)(...)`` for ``call(...)`` where it is for a gradient."""
        self._wrappers.append((by, wrapper))
        self._waiting[by] = "calls no trained model for a gradient"

    def look_at_calls(self, wrapper: Wrapper) -> None:
        """Call ``wrapper(model, call)(...)``, which only looks, around all that is done to it."""
        self._lookers.append(wrapper)

    def look_at_optimizers(self, look: Callable[[Optimizer], None]) -> None:
        """Call `look`, which changes nothing, when an optimizer is going to make its first step."""
        self._first_updates.append(look)

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

    def each_loader(
        self, change: Callable[[DataLoader[Any]], None], by: str, needed: bool = True
    ) -> None:
        """Change every DataLoader before it is first drawn from; `needed`: there has to be one."""
        self._on_loaders.append((by, change))
        if needed:
            self._waiting[by] = "draws no batch from a DataLoader"

    def at_end(self, check: Callable[[], None]) -> None:
        """Call `check` once the script has ended; it may raise `NotApplicable`."""
        self._checks.append(check)

    def end(self, refusal: BenchError) -> NoReturn:
        """End the script from within, for what a technique can't do, or nobody can measure."""
        self.refused = refusal
        self.finish()

    def finish(self) -> NoReturn:
        """End the script from within; where it catches that, its next step or batch ends it."""
        self.over = True
        raise Ended

    def throughout(self, context: Callable[[], AbstractContextManager[object]]) -> None:
        """Run the script within a context."""
        self._throughout.append(context)

    def check_acted(self) -> None:
        """Raise what a technique said; `NotApplicable` where what one changes never came.

        Raises `BenchError` where no trained model has the class that was asked for.
        """
        if self.refused is not None:
            raise self.refused
        if self.rehearsed and self.model and self._kinds and self.model not in self._kinds:
            raise BenchError(
                f"no model that its first steps train is a {self.model}; there are: "
                f"{', '.join(self._kinds)}"
            )
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
        kind = type(model).__name__
        self._kinds[kind] = None
        if self.model is not None and kind != self.model:
            return call
        self.models.append(model)
        self._hold_count()
        if (changed := self._changed.get(id(model))) is None or changed() is not model:
            self._changed[id(model)] = ref(model)
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
        for looker in self._lookers:
            call = looker(model, call)
        return call

    def changes_optimizer(self, optimizer: Optimizer) -> None:
        """Change an optimizer that is about to step."""
        for look in self._first_updates:
            look(optimizer)
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
