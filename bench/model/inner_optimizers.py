"""Find optimizers that another one steps by, and that don't follow what is done to its groups."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves

from bench.turns import parts_of


def apart(optimizer: Optimizer) -> str | None:
    """Return the name of an attribute that holds another optimizer with groups of its own."""
    known = {id(group) for group in optimizer.param_groups}
    for one in parts_of(optimizer):
        for name, value in getattr(one, "__dict__", {}).items():
            for inner in tree_leaves(value):
                if {id(group) for group in getattr(inner, "param_groups", ())} - known:
                    return f"{type(one).__name__}.{name}"
    return None
