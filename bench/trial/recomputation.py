"""See where a model computes activations again in its backward pass, by torch's checkpointing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch.utils import checkpoint

from bench.interception.patches import Patches

Around = Callable[[], AbstractContextManager[None]]


@contextmanager
def around_recomputation(around: Around) -> Iterator[None]:
    """Put a context around all that is computed again meanwhile, in both of torch's ways.

    Models hold `torch.utils.checkpoint.checkpoint` itself, so what it calls is replaced.
    """
    forward = checkpoint.CheckpointFunction.forward

    class Recomputation(checkpoint._recomputation_hook):
        """Computes again what the backward pass asks for, and ends as soon as all is there."""

        def __enter__(self) -> None:
            self._around = around()
            self._around.__enter__()
            super().__enter__()

        def __exit__(self, *error: object) -> None:
            super().__exit__(*error)
            self._around.__exit__(None, None, None)

    def reentrant(ctx: Any, run: Callable[..., object], *args: object) -> object:
        def again(*inputs: object) -> object:
            with around():
                return run(*inputs)

        found = forward(ctx, run, *args)  # type: ignore[no-untyped-call]  # torch's
        ctx.run_function = again
        return found

    with Patches() as patches:
        patches.replace(checkpoint, "_recomputation_hook", Recomputation)
        patches.replace(checkpoint.CheckpointFunction, "forward", staticmethod(reentrant))
        yield
