"""See the backward passes of a script, and the losses that they are of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.errors import BenchError
from bench.interception.events import Kind
from bench.interception.patches import Patches
from bench.interception.script import Script

BACKING, BACKWARD = Kind.BACKING, Kind.BACKWARD  # an enum is slow to look things up in
MOST_WITHOUT = 5000
"""Backward passes without any optimizer's step that are waited for."""
UNSCALED = "_unscaled_by_bench"
"""What a scaled loss keeps the loss itself as."""


class Backward:
    """Notes each outermost backward pass; of a scaled loss, the loss itself."""

    def __init__(self, script: Script, patches: Patches) -> None:
        self._script, self._recorder, self._passes = script, script.recorder, 0
        self._plain = torch.autograd.backward
        self._scale = torch.amp.GradScaler.scale
        patches.replace(torch.autograd, "backward", self._backward)

        def scale(scaler: torch.amp.GradScaler, outputs: Any) -> Any:
            scaled = self._scale(scaler, outputs)
            if isinstance(scaled, Tensor) and scaled is not outputs:
                setattr(scaled, UNSCALED, outputs.detach())
            return scaled

        patches.replace(torch.amp.GradScaler, "scale", scale)

    def _backward(self, tensors: Any, *args: Any, **kwargs: Any) -> None:
        if self._script.going_back:
            self._plain(tensors, *args, **kwargs)
            return
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
        """Return the loss that a backward pass is of; the sum of several."""
        if isinstance(tensors, Tensor):
            found: Tensor = getattr(tensors, UNSCALED, tensors)
            return found
        several = [getattr(one, UNSCALED, one) for one in tensors]
        if any(one.numel() != 1 for one in several):
            return None
        return torch.stack([one.detach().reshape(()) for one in several]).sum()
