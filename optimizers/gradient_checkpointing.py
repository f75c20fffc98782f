"""Gradient checkpointing: keep only the inputs of blocks, and compute the rest again in backward.

What:    every repeated block of the model is run under torch.utils.checkpoint, or, with `keep`,
         the modules that hold most memory, as many as it takes. What blocks keep from pass to pass
         (buffers, generators, counters) is put back for the second pass, and not changed twice.
Helps:   deep models whose activations fill the memory: memory grows with one block instead of all.
Hurts:   time: one more forward pass, about a third more arithmetic. Models whose memory is weights
         or optimizer state gain nothing. On the CPU, glibc may keep what recomputation frees:
         together with allocator, policy=return, it goes back at once.
Effect:  exact.
Source:  Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016; torch.utils.checkpoint.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar, Self, SupportsIndex

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.utils.checkpoint import checkpoint

from bench.batches import Outputs
from bench.errors import NotApplicable
from bench.interception.script import Script
from bench.interception.writing import Writing
from bench.job import Job
from bench.model.activations import Activations, activations
from bench.model.module_state import ModuleState
from bench.records.plain_loop import PlainLoop
from bench.technique import PASSES, Effect, Parts, Stage, Technique

Context = AbstractContextManager[None]
WRITTEN = '''
import functools

from torch.utils.checkpoint import checkpoint as recomputed


def checkpoint_blocks(model, *names):
    """Compute blocks again in the backward pass, and keep only their inputs until then."""
    for name in names:
        block = model.get_submodule(name)
        block.forward = functools.partial(recomputed, block.forward, use_reentrant=False)
'''


IN_LOOP = '''
def checkpoint_blocks(model, names):
    """Compute blocks again in the backward pass, and keep only their inputs until then."""
    for name in names:
        block = model.get_submodule(name)
        block.__class__ = checkpointed(type(block))


def checkpointed(kind):
    """Return a class of blocks whose activations are not kept."""

    class Checkpointed(kind):
        def forward(self, *args):
            if not torch.is_grad_enabled():
                return super().forward(*args)
            forward, kept = super().forward, lambda: (contextlib.nullcontext(), same_buffers(self))
            if torch.compiler.is_compiling():
                return checkpoint(forward, *args, use_reentrant=False)
            return checkpoint(forward, *args, use_reentrant=False, context_fn=kept)

    return Checkpointed


@contextlib.contextmanager
def same_buffers(block):
    """Let the second pass leave running statistics as the first one made them."""
    before = [(buffer, buffer.clone()) for buffer in block.buffers()]
    try:
        yield
    finally:  # the pass is ended by an exception, once it has computed what is needed
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
'''


class GradientCheckpointing(Technique):
    """Recompute the activations of repeated blocks."""

    name: ClassVar[str] = "gradient-checkpointing"
    stage: ClassVar[Stage] = Stage.MEMORY
    effect: ClassVar[Effect] = Effect.EXACT
    touches: ClassVar[Parts | None] = PASSES

    every: int = Field(
        1, ge=1, description="checkpoint every n-th repeated block",
        json_schema_extra={"range": [1, 2, 3]},
    )  # fmt: skip
    keep: float | None = Field(
        None, gt=0, lt=1, description="share of the activations' bytes that may be held at once: "
        "checkpoint what holds most, be it a block or not; null: repeated blocks",
    )  # fmt: skip

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if self.keep is not None and self.every != 1:
            raise ValueError("every counts blocks, and keep chooses by memory: give one")
        return self

    def apply(self, job: Job) -> Job:
        """Change the class of the blocks in place, so that names and weights stay as they are."""
        if self.keep is not None:
            blocks = heaviest_modules(job, self.keep)
        else:
            blocks = repeated_blocks(job.model)[:: self.every]
        _checkpoint(blocks)
        return job.wrap("model", lambda model: model, by=self.name).relying(blocks, self.name)

    def intercept(self, script: Script) -> None:
        """Change the class of the repeated blocks of each trained model in place."""
        if self.keep is not None:
            raise NotApplicable("keep looks at a job's model with its sample: a script has neither")

        def change(model: nn.Module) -> None:
            blocks.extend(found := repeated_blocks(model)[:: self.every])
            if found:
                _checkpoint(found, lambda: recomputed.add(True))

        def check() -> None:
            _check(blocks)
            if script.rehearsed and not recomputed:
                raise NotApplicable(
                    "the script calls no repeated block of its model by its forward, with "
                    "gradients: nothing is computed again"
                )

        blocks, recomputed = list[nn.Module](), set[bool]()
        script.each_model(change, by=self.name)
        script.at_end(check)

    def write(self, script: Writing) -> None:
        """Checkpoint the forward of the repeated blocks once their optimizer was made."""

        def lines(model: nn.Module) -> str | None:
            blocks = repeated_blocks(model)[:: self.every]
            if any(True for block in blocks for _ in block.buffers()):
                raise NotApplicable(
                    "the blocks have buffers (running statistics), which a second pass would "
                    "change again: bench train runs it as it was measured"
                )
            names = [repr(n) for n, part in model.named_modules() if any(part is b for b in blocks)]
            return f"checkpoint_blocks({{model}}, {', '.join(names)})" if names else None

        script.each_model(lines, WRITTEN, by=self.name)

    def write_loop(self, loop: PlainLoop, job: Job) -> None:
        """Change the class of the blocks; refuse those that a second pass would change."""
        model = job.model
        if self.keep is not None:
            blocks = heaviest_modules(job, self.keep)
        else:
            blocks = repeated_blocks(model)[:: self.every]
        for block in blocks:
            if others := _buffers_of_others(block):
                raise NotApplicable(
                    f"a second pass would change the buffer {others[0]} of a block again: bench "
                    "train trains with it"
                )
        names = [name for name, part in model.named_modules() if any(part is b for b in blocks)]
        loop.define(IN_LOOP)
        loop.add("model", f"checkpoint_blocks(model, {names})", by=self.name)


def _buffers_of_others(block: nn.Module) -> list[str]:
    """Return the names of a block's buffers that are no statistics of batch norm."""
    norms = nn.modules.batchnorm._NormBase
    return [
        f"{name}.{buffer}"
        for name, part in block.named_modules()
        for buffer, _ in part.named_buffers(recurse=False)
        if not isinstance(part, norms)
    ]


def _checkpoint(blocks: Sequence[nn.Module], note: Callable[[], None] = lambda: None) -> None:
    """Change the class of blocks; `note` is called where one is checkpointed."""
    _check(blocks)
    for block in blocks:
        if "forward" in vars(block):  # it is called in the place of that of its class
            raise NotApplicable(
                f"a block, {type(block).__name__}, has a forward of its own (compiled, or patched):"
                " what is checkpointed is its class's"
            )
    for block in dict.fromkeys(blocks):
        block.__class__ = _checkpointed(type(block), note)


def _check(blocks: Sequence[nn.Module]) -> None:
    """Raise `NotApplicable` where there is nothing to checkpoint."""
    if blocks and not any(p.requires_grad for block in blocks for p in block.parameters()):
        raise NotApplicable("the model's repeated blocks are frozen: nothing of them is kept")
    if not blocks:
        raise NotApplicable(
            "the model has no repeated blocks (two or more modules of one class, with parts, "
            "in a ModuleList or Sequential)"
        )


def repeated_blocks(model: nn.Module) -> list[nn.Module]:
    """Return the outermost modules that stand two or more times, one class, in one container.

    One that stands in several places is returned once.
    """
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
    return [*dict.fromkeys(found)]


def heaviest_modules(job: Job, keep: float) -> list[nn.Module]:
    """Return the fewest modules without which no more than a share of activations is ever held.

    Held is what is kept outside of them, and the largest of them, while it is computed again.
    """
    found = activations(job)
    within, least = found.within, 1.0
    for most in (keep, keep / 2, keep / 4, keep / 8):  # finer parts where coarse ones don't do
        modules = sorted(_no_larger(job.model, "", found, most), key=within.__getitem__)
        largest = within[modules[-1]] if modules else 0
        chosen: list[str] = []
        while (held := _held(found, chosen, largest)) > keep and modules:
            chosen.append(modules.pop())
        if held <= keep:
            return [job.model.get_submodule(name) for name in chosen]
        least = min(least, held)
    raise NotApplicable(f"keep={keep}: at best {least:.0%} of the activations are held at once")


def _held(found: Activations, checkpointed: list[str], largest: int) -> float:
    kept = found.total - sum(found.within[name] for name in checkpointed)
    return (kept + largest) / found.total


def _no_larger(module: nn.Module, name: str, found: Activations, most: float) -> Iterator[str]:
    """Yield the names of the outermost modules inside that hold something, but not too much."""
    for part, child in module.named_children():
        inner = f"{name}.{part}" if name else part
        within = found.within.get(inner, 0)
        if 0 < within <= most * found.total:
            yield inner
        else:
            yield from _no_larger(child, inner, found, most)


def _checkpointed(kind: type[nn.Module], note: Callable[[], None]) -> type[nn.Module]:
    def forward(self: nn.Module, *args: object, **kwargs: object) -> Outputs:
        def run(*inner: object) -> Outputs:
            return kind.forward(self, *inner, **kwargs)

        if not torch.is_grad_enabled():
            return run(*args)
        if torch.compiler.is_compiling():  # a compiled region changes buffers once anyway
            return checkpoint(run, *args, use_reentrant=False)
        note()
        return checkpoint(run, *args, use_reentrant=False, context_fn=lambda: _contexts(self))

    def __reduce_ex__(self: nn.Module, protocol: SupportsIndex) -> tuple[object, ...]:  # noqa: N807
        state = kind.__reduce_ex__(self, protocol)[2:]  # a whole model is saved as what it was
        return copyreg._reconstructor, (kind, object, None), *state  # type: ignore[attr-defined]  # pickle's own

    body = {"forward": forward, "__reduce_ex__": __reduce_ex__, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), body)


def _contexts(block: nn.Module) -> tuple[Context, Context]:
    """Return the contexts of the first forward pass and of the recomputation."""
    before = ModuleState(block)
    return _settled(before), before.again()


@contextmanager
def _settled(before: ModuleState) -> Iterator[None]:
    yield
    before.settle()
