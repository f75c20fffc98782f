"""Watch a script's calls of its models and the steps of its optimizers."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.optim import Optimizer

from bench.interception.calls import Call, Calls
from bench.interception.events import Kind
from bench.interception.patches import Patches
from bench.interception.script import Script

LEARNT = 2
"""Steps of every optimizer after which it is known which modules the script calls."""


class Watch:
    """Watches a script by torch's own hooks and a few functions that it calls."""

    def __init__(self, script: Script, patches: Patches) -> None:
        self.script, self.recorder = script, script.recorder
        self.steps = 0
        """Finished steps of the optimizer that stepped first."""
        self._begun = 0.0
        self._numbers: dict[int, int] = {}
        """By id of an optimizer: how many stepped before it for the first time."""
        self._made = script.optimizers
        self._own_steps: dict[int, int] = {}
        self._groups: dict[int, int] = {}
        self._depth = 0
        self._known: dict[int, Call] = {}
        """By id: what is called instead of a trained model, which it holds."""
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
        known = self._known.get(id(module))
        if not torch.is_grad_enabled():
            if module.training or (known is None and not self._is_trained(module)):
                return call(*args, **kwargs)
            self.recorder.note(Kind.EVALUATING)
            with self.script.apart():
                answer = call(*args, **kwargs)
            self.recorder.note(Kind.EVALUATION, cpu=True)
            return answer
        if known is None:
            early = not module.training and not self._depth and not self.steps
            if early or not self._is_trained(module):  # a first look at it, or none of the trained
                return call(*args, **kwargs)
            known = self._known[id(module)] = self.script.changes_model(module, call)
        self.recorder.note(Kind.CALLING, cpu=not self.steps)  # later a step's end has read it
        answer = known(*args, **kwargs)
        self.recorder.note(Kind.CALL, items_of(args) or items_of(kwargs))
        return answer

    def _is_trained(self, module: nn.Module) -> bool:
        ours = {id(p) for p in module.parameters() if p.requires_grad}
        return any(
            id(p) in ours for made in self._made for group in made.param_groups
            for p in group["params"]
        )  # fmt: skip

    def before_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: Any) -> None:
        """Note that an optimizer is going to step, unless it does so within another's step."""
        self._depth += 1
        if self._depth > 1:
            return
        number = self._number(optimizer)
        if self.script.over or (number == 0 and self._is_enough()):
            self._depth = 0
            if not self.script.over:
                self.script.on_enough()
            self.script.finish()
        if self._groups.get(id(optimizer)) != id(optimizer.param_groups):
            self._groups[id(optimizer)] = id(optimizer.param_groups)
            self.script.changes_optimizer(optimizer)
        if self.script.scaling is not None:
            self.script.scaling.before_step(optimizer, args, kwargs)
        self.recorder.note(Kind.STEPPING, number)

    def after_step(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        """Note that an optimizer has stepped."""
        self._depth = max(0, self._depth - 1)
        if self._depth:
            return
        number = self._number(optimizer)
        self.recorder.note(Kind.STEP, number, cpu=True)
        self.steps += number == 0
        self.script.stepped = True
        self._own_steps[number] = self._own_steps.get(number, 0) + 1
        if number == 0:
            self.script.on_step(self.steps)
        if self._calls.learning and min(map(self._steps_of, self._made), default=0) >= LEARNT:
            self._calls.learn(False)

    def _steps_of(self, optimizer: Optimizer) -> int:
        return self._own_steps.get(self._numbers.get(id(optimizer), -1), 0)

    def _number(self, optimizer: Optimizer) -> int:
        return self._numbers.setdefault(id(optimizer), len(self._numbers))

    def _is_enough(self) -> bool:
        now = time.perf_counter()
        self._begun = self._begun or now
        limit = self.script.limit
        return limit is not None and limit.reached(self.steps, now - self._begun)


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
