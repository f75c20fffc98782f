"""Watch a script's calls of its models and the steps of its optimizers."""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.optim import Optimizer

from bench.interception.calls import Call, Calls
from bench.interception.events import Kind
from bench.interception.patches import Patches
from bench.interception.script import Limit, Script

CALLING, CALL, ASKED = Kind.CALLING, Kind.CALL, Kind.ASKED  # an enum is slow to look things up in
STEPPING, STEP = Kind.STEPPING, Kind.STEP

LEARNT = 2
"""Steps of every optimizer after which it is known which modules the script calls, and in what
order optimizers step. What is evaluated later is learnt until the next step."""


@dataclass(slots=True)
class Own:
    """What is known of an optimizer: its number, and the id of the groups that were seen of it."""

    number: int
    groups: int = 0


class Watch:
    """Watches a script by torch's own hooks and a few functions that it calls."""

    def __init__(self, script: Script, patches: Patches) -> None:
        self.script, self.recorder = script, script.recorder
        self.steps = 0
        """Finished steps of the optimizer that leads: the one that stepped first, or took over."""
        self._begun = 0.0
        self._own = WeakKeyDictionary[Optimizer, Own]()
        self._outermost = Own(0)
        """That of the optimizer whose step is being made, or was made last."""
        self._numbers: dict[frozenset[int], int] = {}
        """By the weights of an optimizer, their ids: its number, in order of the first steps."""
        self._made: list[int] = []
        """By number: finished steps."""
        self._lead, self._since = 0, Counter[int]()
        """Which leads, and what steps others made since it made its last one."""
        self._stepping: list[FrameType] = []
        """The calls of steps that are being made, each within the one before it."""
        self._known: dict[int, Call] = {}
        """By id: what is called instead of a trained model, which it holds."""
        self._calls = Calls(patches, self._around)
        self._patch_optimizers(patches)
        self._patch_scalers(patches)

    def _patch_optimizers(self, patches: Patches) -> None:
        plain, script = Optimizer.__init__, self.script

        def __init__(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            plain(optimizer, *args, **kwargs)
            if not script.changing:
                script.optimizers.add(optimizer)
                self._calls.learn(True)

        patches.replace(Optimizer, "__init__", __init__)

    def _patch_scalers(self, patches: Patches) -> None:
        """Note the steps that a scaler leaves out."""
        plain: Any = torch.amp.GradScaler._maybe_opt_step

        def _maybe_opt_step(scaler: object, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
            made = sum(self._made)
            answer = plain(scaler, optimizer, *args, **kwargs)
            if sum(self._made) == made and optimizer in self.script.optimizers:
                self._leave_out(optimizer)
            return answer

        patches.replace(torch.amp.GradScaler, "_maybe_opt_step", _maybe_opt_step)

    def _leave_out(self, optimizer: Optimizer) -> None:
        """Note a step that changes no weight; a fused optimizer makes such a one itself.

        It is none of those that a trial makes at least: what techniques do waits for an update.
        """
        number = self._of(optimizer).number
        self.recorder.note(STEPPING, number)
        self.recorder.note(STEP, number, cpu=True)
        if number == self._lead:
            self.script.on_step(self.steps)

    def _around(self, module: nn.Module, call: Call, args: Any, kwargs: Any) -> Any:
        script, recorder = self.script, self.recorder
        if script.going_back:
            return call(*args, **kwargs)
        known = self._known.get(id(module))
        if not torch.is_grad_enabled():
            return self._without_gradients(module, known is not None, call, args, kwargs)
        if known is None:
            early = not module.training and not self._stepping and not self.steps
            if early or not self._is_trained(module):  # a first look at it, or none of the trained
                return call(*args, **kwargs)
            self._forget()
            known = self._known[id(module)] = script.changes_model(module, call)
        number, cpu = int(not module.training), not self.steps  # later a step's end has read it
        recorder.note(CALLING, number, cpu)
        answer = known(*args, **kwargs)
        recorder.note(CALL, items_of(args) or items_of(kwargs))
        return answer

    def _without_gradients(
        self, module: nn.Module, known: bool, call: Call, args: Any, kwargs: Any
    ) -> Any:
        if module.training or not (known or self._is_trained(module)):
            answer = call(*args, **kwargs)
            self.recorder.note(ASKED, int(module.training))
            return answer
        self.recorder.note(Kind.EVALUATING)
        with self.script.apart():
            answer = call(*args, **kwargs)
        self.recorder.note(Kind.EVALUATION, cpu=True)
        return answer

    def _is_trained(self, module: nn.Module, frozen: bool = False) -> bool:
        """Tell whether an optimizer has a weight of a module; `frozen`: one for no gradient too."""
        ours = {id(p) for p in module.parameters() if p.requires_grad or frozen}
        return any(id(p) in ours for made in self.script.optimizers for p in _weights(made))

    def _forget(self) -> None:
        """Let go of models that no optimizer has any more: the script may have done so too."""
        kept = [one for one in self.script.models if self._is_trained(one, frozen=True)]
        self.script.models[:] = kept
        known = {id(one) for one in kept}
        self._known = {one: call for one, call in self._known.items() if one in known}

    def before_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: Any) -> None:
        """Note that an optimizer is going to step, unless it does so within another's step."""
        call, script = sys._getframe(1), self.script
        if self._stepping:  # an error has ended those that are no longer called
            around = {id(frame) for frame, _ in traceback.walk_stack(call)}
            self._stepping = [one for one in self._stepping if id(one) in around]
        self._stepping.append(call)
        if len(self._stepping) > 1:
            return
        own = self._outermost = self._of(optimizer)
        if own.number != self._lead:
            self._pass_lead(own.number)
        if script.over or (own.number == self._lead and self._is_enough(script.limit)):
            self._stepping.clear()
            if not script.over:
                script.on_enough()
            script.finish()
        if own.groups != id(optimizer.param_groups):
            own.groups = id(optimizer.param_groups)
            script.changes_optimizer(optimizer)
        if script.scaling is not None:
            script.scaling.before_step(optimizer, args, kwargs)
        self.recorder.note(STEPPING, own.number)

    def after_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        """Note that an optimizer has stepped."""
        if self._stepping:
            self._stepping.pop()
        if self._stepping:
            return
        number = self._outermost.number
        self.recorder.note(STEP, number, cpu=True)
        self.script.stepped = True
        self._made[number] += 1
        if number == self._lead:
            self.steps += 1
            self._since.clear()
            self.script.steps = self.steps
            self.script.on_step(self.steps)
        else:
            self._since[number] += 1
        if self._calls.learning and min(map(self._steps_of, self.script.optimizers)) >= LEARNT:
            self._calls.learn(False)

    def _steps_of(self, optimizer: Optimizer) -> int:
        return self._made[self._own[optimizer].number] if optimizer in self._own else 0

    def _of(self, optimizer: Optimizer) -> Own:
        own = self._own.get(optimizer)
        if own is None:
            weights = frozenset(map(id, _weights(optimizer)))
            own = self._own[optimizer] = Own(self._numbers.setdefault(weights, len(self._made)))
            if own.number == len(self._made):
                self._made.append(0)
            self.script.optimizers.add(optimizer)  # a copy, and what was unpickled, wasn't made
        return own

    def _pass_lead(self, number: int) -> None:
        """Let an optimizer lead that began to step after the last steps of the one that led."""
        made, led = self._made[number], self._made[self._lead]
        took = LEARNT <= made == self._since[number] and led >= LEARNT
        if took or (made and not led) or number < self._lead:
            self.steps += self._since[number]
            self._lead = number
            self._since.clear()

    def _is_enough(self, limit: Limit | None) -> bool:
        if limit is None:
            return False
        now = time.perf_counter()
        self._begun = self._begun or now
        return limit.reached(self.steps, now - self._begun)


def _weights(optimizer: Optimizer) -> Iterator[Tensor]:
    return (weight for group in optimizer.param_groups for weight in group["params"])


def items_of(batch: Any) -> int:
    """Return how many items a batch, or a call, holds; 0 where that can't be told."""
    if isinstance(batch, Tensor):
        return batch.size(0) if batch.dim() else 0
    if isinstance(batch, PackedSequence):
        return int(batch.batch_sizes[0])
    if isinstance(batch, dict):
        batch = batch.values()
    elif not isinstance(batch, (list, tuple)):
        return 0
    for part in batch:
        if found := items_of(part):
            return found
    return 0
