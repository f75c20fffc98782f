"""Compare the loss of a batch with those of its parts: is it their mean by items, or their sum?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from bench.batches import Batch
from bench.errors import NotApplicable
from bench.job import Job, Loss
from bench.model.float32 import Float32, compute_in_full
from bench.model.halves import HALVES
from bench.model.nested import tensors_in
from bench.model.outputs import FAILURES, loss_without_training
from bench.model.varied import varied

EXACT = 1e-5
"""How far, relatively, a batch's loss may be from its parts' in 32 bits."""
CLOSE = 2e-3
"""The same where something is computed in 16."""
LEAST = 1e-6
"""How far in any case: terms of a loss near 0 are rounded as what they are."""
NOISE = 4.0
"""By how many times the range of equal calls, where a loss draws random numbers."""
CALLS = 5
"""How many of these."""
TRIES = 3
"""With so many other weights, where losses are nearly equal at those that there are."""
DECISIVE = 50.0
"""How much more than that parts' losses have to differ, so that another mean of them shows."""


@dataclass(frozen=True)
class PartsOfLoss:
    """The loss of a batch, those of its parts, how many items these hold, and what chance does."""

    whole: float
    parts: tuple[float, ...]
    items: tuple[int, ...]
    noise: float
    rounding: float = CLOSE

    @property
    def mean(self) -> float:
        """Return the mean of the parts' losses, weighted by their items."""
        return sum(n * loss for n, loss in zip(self.items, self.parts, strict=True)) / sum(
            self.items
        )

    @property
    def is_mean(self) -> bool:
        """Return whether the parts' gradients, weighted by items, add up to that of the batch."""
        return abs(self.whole - self.mean) <= self._near

    @property
    def is_sum(self) -> bool:
        """Return whether the parts' gradients add up to that of the batch as they are."""
        return abs(self.whole - sum(self.parts)) <= self._near

    @property
    def is_of_pairs(self) -> bool:
        """Return whether the loss is outside of what any mean of the parts' could be.

        It is one over pairs of items then, which sees fewer of them in parts.
        """
        low, high = min(self.parts) - self._near, max(self.parts) + self._near
        return math.isfinite(self.mean) and not low <= self.whole <= high

    @property
    def tells(self) -> bool:
        """Return whether the parts' losses differ: of equal ones, every mean is the same."""
        return max(self.parts) - min(self.parts) > DECISIVE * self._near

    @property
    def answer(self) -> tuple[bool, bool]:
        """Return whether it is the parts' mean, and whether it is their sum."""
        return self.is_mean, self.is_sum

    @property
    def _near(self) -> float:
        size = max(map(abs, (self.whole, *self.parts)))
        return self.rounding * size + NOISE * self.noise + LEAST


def parts_of_loss(
    job: Job,
    batch: Batch,
    parts: Sequence[Batch],
    loss: Loss | None = None,
    items: Sequence[int] | None = None,
) -> PartsOfLoss:
    """Return the losses of a batch and of its parts, once, in evaluation mode.

    `loss` is the job's, or one of several; `items` what counts of each part, if not the job's.
    Raises what the loss raises.
    """
    counts = tuple(items or map(job.items, parts))
    kept = set[torch.dtype]()

    def noted(model: nn.Module, batch: Batch) -> Tensor:
        found = (loss or job.loss)(model, batch)
        kept.add(found.dtype)
        return found

    def compared() -> PartsOfLoss:
        with _exactly() as dtypes:
            whole, noise = _repeated(job, batch, noted)
            each = [
                loss_without_training(job, part, noted, CALLS + number)
                for number, part in enumerate(parts)
            ]
        return PartsOfLoss(whole, tuple(each), counts, noise, _rounding(dtypes, kept))

    return _telling(job.model, compared)


def check_item_losses(job: Job, batch: Batch) -> int:
    """Raise `NotApplicable` where the loss of a batch is not the mean of its items' losses.

    Both are computed once, in evaluation mode. Returns how many items there are.
    """
    item_losses = job.item_losses
    assert item_losses is not None
    of_items: list[float] = []
    kept = set[torch.dtype]()

    def mean(model: nn.Module, batch: Batch) -> Tensor:
        found = item_losses(model, batch)
        if found.dim() != 1:
            raise NotApplicable(
                f"item_losses gave the shape {tuple(found.shape)}, not one loss for each item"
            )
        of_items[:] = found.tolist()
        kept.add(found.dtype)
        return found.mean()

    def compared() -> PartsOfLoss:
        with _exactly() as dtypes:
            whole, noise = _repeated(job, batch)
            loss_without_training(job, batch, mean, seed=0)
        rounding = _rounding(dtypes, kept)
        return PartsOfLoss(whole, tuple(of_items), (1,) * len(of_items), noise, rounding)

    found = _telling(job.model, compared)
    if not found.is_mean:
        raise NotApplicable(
            f"the loss of a batch, {found.whole:.5g}, is not the mean of its item_losses, "
            f"{found.mean:.5g}; with weights of the classes, for instance, let item_losses have "
            "them too"
        )
    return len(of_items)


def check_items_apart(job: Job, batch: Batch) -> None:
    """Raise `NotApplicable` where the loss of a batch is not the mean of its items' and parts'.

    A loss over pairs of items, or divided by their weights, is another one of fewer items.
    """
    indices = torch.arange(check_item_losses(job, batch), device=job.device).chunk(2)
    parts = [job.select(batch, index) for index in indices]
    found = parts_of_loss(job, batch, parts, items=[len(index) for index in indices])
    if not found.is_mean:
        raise NotApplicable(
            f"the loss of a batch, {found.whole:.5g}, is not the mean of its {len(parts)} parts' "
            f"by their items, {found.mean:.5g}: of fewer items it is another one"
        )


def _rounding(computed: set[torch.dtype], kept: set[torch.dtype]) -> float:
    """Return how far losses may be apart that are computed, and kept, in these."""
    ends = [torch.finfo(dtype).eps for dtype in kept if dtype.is_floating_point]
    return max(CLOSE if computed & HALVES else EXACT, *ends, 0.0)


def adds_up(job: Job, batch: Batch, loss: Loss | None = None) -> bool:
    """Tell whether a loss is a sum over items up to a factor or a constant, and not one of pairs.

    The losses of two halves have the same sum then, whichever items are in which.
    """
    try:
        rows = torch.arange(job.items(batch), device=job.device)
        halves = [job.select(batch, half) for half in (*rows.chunk(2), rows[::2], rows[1::2])]
        with varied(job.model):
            found = parts_of_loss(job, batch, halves, loss, items=(1,) * len(halves))
    except FAILURES:  # what counts as an item is something else, or the loss doesn't take answers
        return False
    first, last, even, odd = found.parts
    return replace(found, whole=first + last, parts=(even, odd)).is_sum


def _telling(model: nn.Module, compared: Callable[[], PartsOfLoss]) -> PartsOfLoss:
    """Return what a comparison finds, at other weights where all losses are nearly equal here.

    A head of zeros, or small weights, make them so at first. Raises `NotApplicable` where a loss is
    the same number whatever the weights are: its gradient is one of something else.
    """
    found, unmoved = compared(), 0
    for seed in range(TRIES if len(found.parts) > 1 and not found.tells else 0):
        try:
            with varied(model, seed):
                other = compared()
        except FAILURES:  # answers that a loss doesn't take
            continue
        known = all(map(math.isfinite, (other.whole, *other.parts)))
        if known and other.answer != found.answer:
            return other
        if known and other.tells:
            break
        unmoved += abs(other.whole - found.whole) <= EXACT * abs(found.whole)
    if unmoved == TRIES and found.whole:
        raise NotApplicable(
            f"the loss is {found.whole:.5g} whatever the weights are (divided by itself, say), so "
            "that it doesn't tell what its gradient is made of"
        )
    return found


@contextmanager
def _exactly() -> Iterator[set[torch.dtype]]:
    """Compute as it is written, float32 in full; yield the dtypes of what the modules answer."""
    seen, before = set[torch.dtype](), Float32.now()
    compute_in_full()
    handle = register_module_forward_hook(
        lambda module, args, found: seen.update(one.dtype for one in tensors_in(found))
    )
    try:
        with torch.compiler.set_stance("force_eager"):
            yield seen
    finally:
        handle.remove()
        before.put_back()


def _repeated(job: Job, batch: Batch, loss: Loss | None = None) -> tuple[float, float]:
    """Return the loss of a batch, and the range of equal calls, where two already differ."""
    first, second = (loss_without_training(job, batch, loss, seed) for seed in (0, 1))
    if first == second or math.isnan(first):
        return first, 0.0
    others = [loss_without_training(job, batch, loss, seed) for seed in range(2, CALLS)]
    calls = [first, second, *others]
    return first, max(calls) - min(calls)
