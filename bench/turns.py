"""Several optimizers in one training: each takes its turn in a step, with a loss of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.errors import BenchError

Loss = Callable[[nn.Module, Any], Tensor]
"""Of a model and a batch."""
MakeOptimizer = Callable[[nn.Module], Optimizer]


class TurnParts(TypedDict):
    """The parts of a job that optimizers in turn take."""

    loss: Loss
    losses: dict[str, Loss]
    make_optimizer: MakeOptimizer


class Turns(Optimizer):
    """Optimizers by name, seen as one: its groups are theirs, and change with them."""

    def __init__(self, named: Mapping[str, Optimizer]) -> None:
        super().__init__([torch.zeros(0, requires_grad=True)], {})  # torch wants one; not kept
        self.named = dict(named)
        self._opt_called = True  # or torch's schedulers warn that this whole never steps
        self.gather()

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # torch's has two forms
        """Let each make a step."""
        for one in self.named.values():
            one.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of what any of them trains."""
        for one in self.named.values():
            one.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, object]:
        """Return the state of each by its name."""
        return {name: one.state_dict() for name, one in self.named.items()}

    def load_state_dict(self, state_dict: Mapping[str, dict[str, object]]) -> None:
        """Put back the state of each."""
        for name, one in self.named.items():
            one.load_state_dict(state_dict[name])
        self.gather()

    def gather(self) -> None:
        """Take for groups those that the optimizers have now."""
        self.param_groups = [group for one in self.named.values() for group in one.param_groups]


def parts_of(optimizer: Optimizer) -> list[Optimizer]:
    """Return the optimizers that step: the one given, or those that take turns in it."""
    return list(optimizer.named.values()) if isinstance(optimizer, Turns) else [optimizer]


def each_changed(optimizer: Optimizer, change: Callable[[Optimizer], Optimizer]) -> Optimizer:
    """Return another optimizer in the place of this one, or of each that takes turns in it."""
    if not isinstance(optimizer, Turns):
        return change(optimizer)
    return Turns({name: change(one) for name, one in optimizer.named.items()})


def in_turns(losses: Mapping[str, Loss], optimizers: Mapping[str, MakeOptimizer]) -> TurnParts:
    """Return the parts of a job that trains with several losses, each with its own optimizer.

    ``Job(..., **in_turns(losses={"critic": ..., "generator": ...}, optimizers={...}))``: in every
    step each loss is computed, followed by the optimizer of its name, in the order given.
    """
    if list(losses) != list(optimizers):
        raise BenchError(
            f"in_turns: losses of {', '.join(losses)}, but optimizers of {', '.join(optimizers)}; "
            "give both the same names in one order"
        )

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return torch.stack([one(model, batch) for one in losses.values()]).sum()

    def make_optimizer(model: nn.Module) -> Optimizer:
        return Turns({name: make(model) for name, make in optimizers.items()})

    return {"loss": loss, "losses": dict(losses), "make_optimizer": make_optimizer}
