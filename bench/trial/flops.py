"""Count floating-point operations of one training step, and say what could not be counted.

Operators are known by what they are, never by their names' parts: each call has a formula
(`counted_operators`), or is free (`free_operators`), or is made of calls that are looked at in
turn, or is not counted and said so. 1 MAC = 2 FLOPs; pointwise work is left out, as everywhere in
the field. `coverage` is the share of the calls that are not free which had a formula.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    is_traceable_wrapper_subclass_type,
)
from torch.utils.flop_counter import flop_registry

from bench.batches import Batch, Inputs
from bench.data.layout import items_held
from bench.errors import NotApplicable, reason_of
from bench.job import Job, Progress
from bench.model.calls import ask
from bench.model.train_mode import evaluating
from bench.random_state import undisturbed
from bench.trial.batch_shapes import LOOKED_AT, MOST_BATCHES, CountsByShape
from bench.trial.counted_operators import formulas
from bench.trial.free_operators import free_names, is_free
from bench.trial.recomputation import around_recomputation

MANY = 32
"""Items that a sample is asked for, to see how many one of one holds."""
VISITS = 4
"""Epochs looked at, evenly spread over the training, where batches may change with it."""


@dataclass(frozen=True, slots=True)
class FlopCount:
    """FLOPs of a training step, with how much of the work was counted."""

    per_step: int
    forward_per_item: int | None
    """None where no sample could be run, with the reason in `unknown`."""
    coverage: float | None
    uncounted: tuple[str, ...]
    one_shape: bool
    """Whether all batches counted cost the same."""
    unknown: str | None = None


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts what is called while it is active, in the forward and the backward pass."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self.counted = 0
        self.missed: Counter[str] = Counter()
        self._formulas, self._free = formulas(), free_names()
        self._apart = 0

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Leave out what is called inside."""
        self._apart += 1
        try:
            yield
        finally:
            self._apart -= 1

    def __torch_dispatch__(
        self, func: Callable[..., object], types: Sequence[type], args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:  # fmt: skip
        kwargs = kwargs or {}
        if self._apart:
            return func(*args, **kwargs)
        if any(is_traceable_wrapper_subclass_type(kind) for kind in types):
            return NotImplemented  # it calls others on the tensors that it is made of
        what = getattr(func, "_overloadpacket", func)  # a higher-order operator has no overloads
        if what in self._formulas or what in flop_registry:
            out = func(*args, **kwargs)
            self._count(what, out, args, kwargs)
            return out
        if isinstance(func, torch._ops.OpOverload):
            if is_free(func, self._free, args, kwargs):
                return func(*args, **kwargs)
            with self:  # inference mode passes on whole what is made of others
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        self.missed[str(what)] += 1
        return func(*args, **kwargs)

    def _count(
        self, what: object, out: object, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> None:
        ours = self._formulas.get(what) if isinstance(what, torch._ops.OpOverloadPacket) else None
        try:
            found = ours(out, *args, **kwargs) if ours else flop_registry[what](
                *args, **kwargs, out_val=out
            )  # fmt: skip
        except (AssertionError, AttributeError, IndexError, RuntimeError, TypeError, ValueError):
            found = None  # called with what the formula doesn't know
        if found is None:
            self.missed[str(what)] += 1
        else:
            self.total += int(found)
            self.counted += 1

    @property
    def coverage(self) -> float | None:
        """Return the counted share of the calls that are not free; None where there were none."""
        total = self.counted + sum(self.missed.values())
        return self.counted / total if total else None


def count_flops(job: Job, seed: int = 0) -> FlopCount:
    """Count a step of `job`: the mean over its first batches.

    Where batches differ in shape give a fresh job: then recipes are counted on the same batches.
    Runs forward and backward passes for real; leaves gradients cleared and random state kept.
    """
    counter = FlopCounter()
    with undisturbed(job.device), _plain_attention(), around_recomputation(counter.apart):
        torch.manual_seed(seed)
        job.model.train()
        counts = list(_step_counts(job, counter))
        forward, why = _one_item(job, counter)
    mean, same = sum(counts) // len(counts), len(set(counts)) == 1
    missed = tuple(sorted(counter.missed))
    return FlopCount(mean, forward, counter.coverage, missed, same, why)


def _one_item(job: Job, counter: FlopCounter) -> tuple[int | None, str | None]:
    """Count an item's forward pass; None and the reason where a sample can't be run."""
    before = counter.total
    try:
        whole = forward_flops(job.model, job.sample(1), counter) - before
        return whole // items_of_sample(job), None
    except Exception as error:  # noqa: BLE001 - advice costs no trial
        return None, reason_of(error)


def items_of_sample(job: Job) -> int:
    """Return how many items a job's sample of one holds: where it gives what it has, more."""
    return items_held(job.sample(1), job.sample(MANY), MANY)[0]


def _step_counts(job: Job, counter: FlopCounter) -> Iterator[int]:
    """Count steps as the job makes them, but for the update of weights, which is pointwise."""
    counted, optimizer = replace(job, update=_clear), job.make_optimizer(job.model)

    def count(batch: Batch) -> int:
        before = counter.total
        with counter:
            job.step(counted, batch, optimizer, lambda phase: None)
        return counter.total - before

    for epoch, most in _visits(job):
        known = CountsByShape(count, most)
        while not (known.settled or known.full):
            step = epoch * (job.epoch_steps or 0)
            progress = Progress(job.epochs, epoch, step, [0.0] * epoch, job.epoch_steps)
            job.schedule(optimizer, progress)
            made = list(known.of(itertools.islice(job.batches(progress), LOOKED_AT)))
            if not made:
                raise NotApplicable("batches gave none when they were drawn from once more")
            yield from made


def _visits(job: Job) -> list[tuple[int, int]]:
    """Return which epochs are looked at, and how many batches of each at most.

    The first alone, unless a technique changes batches or steps: then it may do so by the epoch.
    """
    if not {"batches", "step"} & job.taken.keys():
        return [(0, MOST_BATCHES)]
    most = MOST_BATCHES // VISITS
    return [(job.epochs * (2 * part + 1) // (2 * VISITS), most) for part in range(VISITS)]


def _clear(optimizer: Optimizer) -> None:
    optimizer.zero_grad(set_to_none=True)


def forward_flops(model: nn.Module, inputs: Inputs, counter: FlopCounter | None = None) -> int:
    """Count one forward pass in eval mode, without gradients."""
    counter = counter or FlopCounter()
    with evaluating(model), torch.no_grad(), _plain_attention(), counter:
        ask(model, inputs)
    return counter.total


def whole_forward_flops(model: nn.Module, inputs: Inputs) -> int | None:
    """Count one forward pass; None where some arithmetic has no formula (quantised operators)."""
    counter = FlopCounter()
    count = forward_flops(model, inputs, counter)
    return None if counter.missed else count


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Turn off the fused paths of nn.MultiheadAttention, which no counter sees into."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
