"""Put an optimizer's state back where it is: others, such as one that steps by it, hold it too."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from bench.turns import Turns, parts_of


def put_back(optimizer: Optimizer, kept: dict[str, Any]) -> None:
    """Load a state dict into the same groups and state, which torch would replace by others."""
    held = [(one, one.param_groups, one.state) for one in _torch_s(optimizer)]
    optimizer.load_state_dict(kept)
    for one, groups, state in held:
        for group, loaded in zip(groups, one.param_groups, strict=True):
            group.update(loaded)
        found = dict(one.state)
        state.clear()
        state.update(found)
        one.param_groups, one.state = groups, state
    if isinstance(optimizer, Turns):
        optimizer.gather()


def _torch_s(optimizer: Optimizer) -> list[Optimizer]:
    """Return the optimizers that step, of torch's kind; a baseline's may be another."""
    return [one for one in parts_of(optimizer) if isinstance(one, Optimizer)]
