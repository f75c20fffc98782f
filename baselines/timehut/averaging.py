"""The equal average of a model's weights over all training steps."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class WeightAverage:
    """Average the weights an optimizer trains, as `torch.optim.swa_utils.AveragedModel` does.

    The initial weights count as the first of the averaged states, as in TS2Vec; so after n steps
    the average is over n + 1 states. One foreach call a step instead of a loop over tensors.
    """

    def __init__(self) -> None:
        self._parameters: list[Tensor] = []
        self._means: list[Tensor] = []
        self._still: list[tuple[Tensor, Tensor]] = []
        """Parameters that never had a gradient, with their means: equal as long as that holds."""
        self._states = 0

    def step_and_clear(self, optimizer: Optimizer) -> None:
        """Let the optimizer step, clear its gradients, take the new weights into the average."""
        if not self._states:
            self._start(optimizer)
        if self._still:
            self._move_those_with_gradients()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self._states += 1
        with torch.no_grad():
            torch._foreach_lerp_(self._means, self._parameters, 1 / self._states)

    def averaged(self, model: nn.Module) -> nn.Module:
        """Return a copy of `model` with averaged weights; weights never trained are kept."""
        means = {id(p): m for p, m in zip(self._parameters, self._means, strict=True)}
        clone = copy.deepcopy(model)
        with torch.no_grad():
            for new, old in zip(clone.parameters(), model.parameters(), strict=True):
                if (mean := means.get(id(old))) is not None:
                    new.copy_(mean)
        return clone

    def _start(self, optimizer: Optimizer) -> None:
        # lazily, from the optimizer: a technique may have replaced the model that we built
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        self._still = [(p, p.detach().clone()) for p in trained]
        self._states = 1

    def _move_those_with_gradients(self) -> None:
        moving = [(p, mean) for p, mean in self._still if p.grad is not None]
        self._parameters += [p for p, _ in moving]
        self._means += [mean for _, mean in moving]
        self._still = [(p, mean) for p, mean in self._still if p.grad is None]
