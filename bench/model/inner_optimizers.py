"""Read an optimizer's groups, and find others that it steps by, which don't follow these."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves

from bench.errors import NotApplicable
from bench.turns import parts_of


def groups_of(optimizer: object) -> list[dict[str, Any]]:
    """Return an optimizer's groups; raise `NotApplicable` where it is a wrapper without any."""
    groups: list[dict[str, Any]] | None = getattr(optimizer, "param_groups", None)
    if groups is None:
        raise NotApplicable(
            f"the baseline's optimizer, a {type(optimizer).__name__}, has no param_groups, where "
            "its weights and rates stand; let it have those of the one that it steps"
        )
    return groups


def apart(optimizer: Optimizer) -> str | None:
    """Return the name of an attribute that holds another optimizer with groups of its own."""
    known = {id(group) for group in groups_of(optimizer)}
    for one in parts_of(optimizer):
        for name, value in getattr(one, "__dict__", {}).items():
            for inner in tree_leaves(value):
                if {id(group) for group in getattr(inner, "param_groups", ())} - known:
                    return f"{type(one).__name__}.{name}"
    return None
