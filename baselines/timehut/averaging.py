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
        self._states = 0

    def step_and_clear(self, optimizer: Optimizer) -> None:
        """Let the optimizer step, clear its gradients, take the new weights into the average."""
        if not self._parameters:
            self._start(optimizer)
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
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._means = [p.detach().clone() for p in self._parameters]
        self._states = 1
