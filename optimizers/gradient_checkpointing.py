"""Gradient checkpointing: keep only the inputs of blocks, and compute the rest again in backward.

What:    every repeated block of the model is run under torch.utils.checkpoint; random state is
         kept, and batch norm's running statistics are not updated twice.
Helps:   deep models whose activations fill the memory: memory grows with one block instead of all.
Hurts:   time: one more forward pass, about a third more arithmetic. Models whose memory is weights
         or optimizer state gain nothing. On the CPU, glibc may keep what recomputation frees:
         together with allocator, policy=return, it goes back at once.
Effect:  exact.
Source:  Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016; torch.utils.checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from bench.errors import NotApplicable
from bench.job import Job
from bench.technique import Effect, Stage, Technique

Context = AbstractContextManager[None]


class GradientCheckpointing(Technique):
    """Recompute the activations of repeated blocks."""

    name: ClassVar[str] = "gradient-checkpointing"
    stage: ClassVar[Stage] = Stage.MEMORY
    effect: ClassVar[Effect] = Effect.EXACT

    every: int = Field(1, ge=1, description="checkpoint every n-th block")

    def apply(self, job: Job) -> Job:
        """Change the class of the blocks in place, so that names and weights stay as they are."""
        blocks = repeated_blocks(job.model)[:: self.every]
        if blocks and not any(p.requires_grad for block in blocks for p in block.parameters()):
            raise NotApplicable("the model's repeated blocks are frozen: nothing of them is kept")
        if not blocks:
            raise NotApplicable(
                "the model has no repeated blocks (two or more modules of one class, with parts, "
                "in a ModuleList or Sequential)"
            )
        for block in blocks:
            block.__class__ = _checkpointed(type(block))
        return job.wrap("model", lambda model: model, by=self.name)


def repeated_blocks(model: nn.Module) -> list[nn.Module]:
    """Return the outermost modules that stand two or more times, one class, in one container."""
    found: list[nn.Module] = []
    inside: set[int] = set()
    for container in model.modules():
        if id(container) in inside or not isinstance(container, nn.ModuleList | nn.Sequential):
            continue
        children = [child for child in container if any(True for _ in child.children())]
        kinds = [type(child) for child in children]
        blocks = [child for child in children if kinds.count(type(child)) > 1]
        found += blocks
        inside |= {id(part) for block in blocks for part in block.modules()}
    return found


def _checkpointed(kind: type[nn.Module]) -> type[nn.Module]:
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        def run(*inner: Any) -> Any:
            return kind.forward(self, *inner, **kwargs)

        if not (self.training and torch.is_grad_enabled()):
            return run(*args)
        if torch.compiler.is_compiling():  # a compiled region updates the statistics once anyway
            return checkpoint(run, *args, use_reentrant=False)
        return checkpoint(run, *args, use_reentrant=False, context_fn=lambda: _contexts(self))

    return type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})


def _contexts(block: nn.Module) -> tuple[Context, Context]:
    """Return the contexts of the first forward pass and of the recomputation."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    return nullcontext(), _kept_statistics(norms) if norms else nullcontext()


@contextmanager
def _kept_statistics(norms: list[_BatchNorm]) -> Iterator[None]:
    """Keep running statistics from being updated a second time by the recomputation."""
    saved = [{name: b.clone() for name, b in norm.named_buffers(recurse=False)} for norm in norms]
    try:
        yield
    finally:
        for norm, buffers in zip(norms, saved, strict=True):
            for name, buffer in norm.named_buffers(recurse=False):
                buffer.copy_(buffers[name])
