"""Measure the activations that each module saves for the backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_leaves

from bench.errors import NotApplicable
from bench.job import Job
from bench.model.calls import ask
from bench.model.copies import copied
from bench.random_state import undisturbed

ITEMS = 2
"""Items of the pass that is looked at: shares of memory don't depend on the number."""


@dataclass(frozen=True, slots=True)
class Activations:
    """Bytes kept by one forward pass, without weights."""

    total: int
    within: Mapping[str, int]
    """By a module's name: what it keeps besides its inputs and outputs. Checkpointed, it won't."""


@dataclass(slots=True)
class _Account:
    """What is seen of a pass: storages by their address, which what is kept holds on to."""

    seen: dict[int, int] = field(default_factory=dict)
    open: list[tuple[str, set[int], dict[int, int]]] = field(default_factory=list)
    """Of each module that runs: its name, the storages of its inputs, and what is kept in it."""
    within: dict[str, int] = field(default_factory=dict)

    def keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if place not in self.seen:
            self.seen[place] = size
            for _, inputs, kept in self.open:
                if place not in inputs:
                    kept[place] = size
        return tensor

    def enter(self, name: str, inputs: object) -> None:
        self.open.append((name, _storages(inputs), {}))

    def leave(self, outputs: object) -> None:
        name, _, kept = self.open.pop()
        for place in _storages(outputs):
            kept.pop(place, None)
        self.within[name] = self.within.get(name, 0) + sum(kept.values())


def activations(job: Job) -> Activations:
    """Run a copy of the job's model forward, in training; the job and random state stay as is.

    Raises `NotApplicable` for a model with ScriptModules, whose calls can't be listened to.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in job.model.modules()):
        raise NotApplicable("the model has a ScriptModule, whose calls can't be listened to")
    model = copied(job.model).train()
    account = _Account()
    weights = _storages([*model.parameters(), *model.buffers()])
    for name, module in model.named_modules():
        module.register_forward_pre_hook(
            lambda _, args, kwargs, name=name: account.enter(name, (args, kwargs)), with_kwargs=True
        )
        module.register_forward_hook(lambda _, args, outputs: account.leave(outputs))
    account.seen |= dict.fromkeys(weights, 0)
    with undisturbed(job.device), torch.enable_grad():
        with saved_tensors_hooks(account.keep, lambda tensor: tensor):
            outputs = ask(model, job.sample(ITEMS))
        del outputs
    return Activations(sum(account.seen.values()), account.within)


def _storages(values: object) -> set[int]:
    tensors = (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}
