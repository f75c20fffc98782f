"""See that a model calls no more what others took the place of."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from bench.errors import NotApplicable


def check_replaced(gone: Iterable[nn.Module], call: Callable[[], object]) -> None:
    """Raise `NotApplicable` where a call reaches modules that others took the place of.

    A model that holds its layers in a plain list too goes on with those that it had.
    """
    old, reached = {*gone}, set[nn.Module]()

    def note(module: nn.Module, args: object) -> None:
        if module in old:
            reached.add(module)

    handle = register_module_forward_pre_hook(note)
    try:
        call()
    finally:
        handle.remove()
    if reached:
        kinds = ", ".join(sorted({type(module).__name__ for module in reached}))
        raise NotApplicable(
            f"the model still calls {len(reached)} of its layers ({kinds}) that others took the "
            "place of: it holds them elsewhere too, in a plain list, say; let it call them by "
            "their names, or hold them in an nn.ModuleList"
        )
