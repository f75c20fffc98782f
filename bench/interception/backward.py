"""See the backward passes of a script, and the losses that they are of."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from bench.errors import BenchError
from bench.interception.events import Kind
from bench.interception.patches import Patches
from bench.interception.script import Script

BACKING, BACKWARD = Kind.BACKING, Kind.BACKWARD  # an enum is slow to look things up in
MOST_WITHOUT = 5000
"""Backward passes without any optimizer's step that are waited for."""
UNSCALED = "_unscaled_by_bench"
"""What a scaled loss keeps the loss itself as; and the step of its graph that scales, the scaler.
"""
LOOKED_AT = 8
"""Steps of a graph that are gone back at most to where a loss was scaled, before it was divided.
Few: what was not scaled is looked at in vain in every pass.
"""
ONE = (Tensor, GradientEdge)


class Backward:
    """Notes each outermost backward pass; of a scaled loss, the loss itself."""

    def __init__(self, script: Script, patches: Patches) -> None:
        self._script, self._recorder, self._passes = script, script.recorder, 0
        self._scales = False
        self._plain = torch.autograd.backward
        self._scale = torch.amp.GradScaler.scale
        patches.replace(torch.autograd, "backward", self._backward)

        def scale(scaler: torch.amp.GradScaler, outputs: Any) -> Any:
            if isinstance(outputs, Iterator) and scaler.is_enabled():
                return iter(scale(scaler, tuple(outputs)))
            scaled = self._scale(scaler, outputs)
            if scaled is not outputs:
                self._scales = True
                _mark(scaler, scaled, outputs)
            return scaled

        patches.replace(torch.amp.GradScaler, "scale", scale)

    def _backward(self, tensors: Any, *args: Any, **kwargs: Any) -> None:
        if self._script.going_back:
            self._plain(tensors, *args, **kwargs)
            return
        if not isinstance(tensors, ONE):
            tensors = tuple(tensors)  # of what can be gone through once, too
        scaling, begun = self._script.scaling, tensors
        if scaling is not None:
            begun = scaling.scaled(tensors, *args, **kwargs)
        self._script.going_back = True
        self._recorder.note(BACKING)
        try:
            self._plain(begun, *args, **kwargs)
        finally:
            self._script.going_back = False
        if not self._script.stepped:
            self._hold_steps()
        if scaling is not None:
            scaling.settle()
        self._recorder.note(BACKWARD, self._recorder.note_loss(self._loss_of(tensors)))

    def _hold_steps(self) -> None:
        """End a script that seems to update its weights by other means than an optimizer."""
        self._passes += 1
        if self._passes == MOST_WITHOUT:
            self._script.end(
                BenchError(
                    f"the script made {MOST_WITHOUT} backward passes and no step of an optimizer "
                    "of torch.optim: there is no step to measure; let it update its weights by one"
                )
            )

    def _loss_of(self, tensors: Any) -> Tensor | None:
        """Return the loss that a backward pass is of; the sum of several, None of no number."""
        if isinstance(tensors, Tensor):
            return self._unscaled(tensors)
        if isinstance(tensors, GradientEdge) or not tensors:
            return None
        if any(not isinstance(one, Tensor) or one.numel() != 1 for one in tensors):
            return None
        several = [self._unscaled(one) for one in tensors]
        return torch.stack([one.detach().reshape(()) for one in several]).sum()

    def _unscaled(self, loss: Tensor) -> Tensor:
        """Return a loss without the scale that it, or what it was made of, was multiplied by."""
        found: Tensor | None = getattr(loss, UNSCALED, None)
        if found is not None or not self._scales:
            return loss if found is None else found
        scale = _scale_within(loss)
        return loss if scale is None else loss.detach() / scale.to(loss.device)


def _mark(scaler: torch.amp.GradScaler, scaled: Any, outputs: Any) -> None:
    """Let scaled losses, and the steps of their graphs that scale them, be known."""
    if isinstance(scaled, Tensor):
        setattr(scaled, UNSCALED, outputs.detach())
        if scaled.grad_fn is not None:
            marks: Any = scaled.grad_fn.metadata  # of each step of a graph, whatever holds it
            marks[UNSCALED] = scaler
    elif isinstance(scaled, (list, tuple)):
        for one, plain in zip(scaled, outputs, strict=True):
            _mark(scaler, one, plain)


def _scale_within(loss: Tensor) -> Tensor | None:
    """Return the scale of what a loss was made of, as by a division; None where it has none."""
    todo, seen = deque([loss.grad_fn]), 0
    while todo and seen < LOOKED_AT:
        node = todo.popleft()
        if node is None:
            continue
        seen += 1
        marks: Any = node.metadata
        if UNSCALED in marks:
            scale: Tensor | None = marks[UNSCALED]._scale
            return scale
        todo.extend(further for further, _ in node.next_functions)
    return None
