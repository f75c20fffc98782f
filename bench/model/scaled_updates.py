"""Update weights whose gradients were scaled, as a baseline updates them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.optim import Optimizer

from bench.errors import NotApplicable
from bench.model.inner_optimizers import groups_of

Update = Callable[[Optimizer], None]


def scaled_update(old: Update, scaler: torch.amp.GradScaler) -> Update:
    """Return an update that sees true gradients, and whose step is skipped on infinite ones.

    In training it raises `NotApplicable` where the old one only adds gradients up at times.
    """

    def update(optimizer: Optimizer) -> None:
        weights = [p for group in groups_of(optimizer) for p in group["params"]]
        scaler.unscale_(optimizer)  # so that clipping inside `old` sees true gradients
        scaled = _Scaled(optimizer, scaler)
        old(scaled)  # type: ignore[arg-type]  # stands in for it
        if not scaled.stepped and any(p.grad is not None for p in weights):
            raise NotApplicable(
                "the baseline's update makes no step at times and goes on adding up gradients: "
                "those of fp16 would be unscaled again with the next ones; use precision=bf16, or "
                "gradient-accumulation in its place"
            )
        scaler.update()

    return update


class _Scaled:
    """An optimizer whose `step` goes through the scaler, which skips it on infinite gradients."""

    def __init__(self, optimizer: Optimizer, scaler: torch.amp.GradScaler) -> None:
        self._optimizer = optimizer
        self._scaler = scaler
        self.stepped = False

    def step(self) -> None:
        self.stepped = True
        self._scaler.step(self._optimizer)

    def __getattr__(self, name: str) -> object:
        return getattr(self._optimizer, name)
