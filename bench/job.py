"""Describe a training run as a frozen value whose parts techniques replace before it starts.

Every part receives what it works on as an argument (the model, the optimizer, the whole job), never
through a closure over an earlier job: so a part that is replaced later is the part that runs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.batches import Batch, Inputs, chunk_items, first_size, select_items
from bench.data_card import DataCard as DataCard
from bench.deployment import Deployment
from bench.errors import BenchError, Clash, NotApplicable
from bench.group import Group
from bench.turns import Turns

if TYPE_CHECKING:
    from bench.targets import Targets

Mark = Callable[[str], None]
"""Called at the end of a phase with its name: ``forward``, ``backward``, ``update``."""


@dataclass
class Progress:
    """How far a training run is; written by the loop, read by the parts."""

    total_epochs: int
    epoch: int = 0
    """Finished epochs, which is also the index of the one that is running."""
    step: int = 0
    """Optimiser updates made so far."""
    epoch_losses: list[float] = field(default_factory=list)
    """Mean training loss of each finished epoch."""
    epoch_steps: int | None = None
    """Updates of an epoch, where the job tells."""

    @property
    def total_steps(self) -> int:
        """Return the updates of the whole training; raise `BenchError` where the job tells none."""
        if self.epoch_steps is None:
            raise BenchError(
                "progress.total_steps is asked for, and the job doesn't say how many updates an "
                "epoch has: give it epoch_steps, such as len(loader)"
            )
        return self.total_epochs * self.epoch_steps


Batches = Callable[[Progress], Iterable[Batch]]
"""The type of `Job.batches`."""
Schedule = Callable[[Optimizer, Progress], None]
"""The type of `Job.schedule`."""
Loss = Callable[[nn.Module, Batch], Tensor]
"""The type of `Job.loss`: forward pass and loss, a scalar."""
MakeOptimizer = Callable[[nn.Module], Optimizer]
"""The type of `Job.make_optimizer`."""


def in_place(batch: Batch) -> Batch:
    """Leave a batch where it is."""
    return batch


Loader = Callable[["FixedItems", Progress], Iterable[Batch]]
"""Yields one epoch's batches of fixed items, in the order of their rows."""


@dataclass(frozen=True, slots=True)
class FixedItems:
    """Training items that are the same every time they are drawn: nothing is augmented."""

    count: int
    rows: Callable[[Progress], Iterable[Tensor]]
    """The row numbers, from 0 to count - 1, of each batch of one epoch, as `Job.batches` draws
    them: it is the same draw, not another one."""
    take: Callable[[Tensor], Batch]
    """The batch of some rows; its first tensor is what the job's encoder is called with. It may be
    called in another thread or process."""
    place: Callable[[Batch], Batch] = in_place
    """Moves a batch to the device, where `take` doesn't give it there."""
    labels: Tensor | None = None
    """Of all items: classes ``(N,)``, or 0 and 1 for each of several labels ``(N, labels)``."""
    load: Loader | None = None
    """How batches are read, other than one after the other when they are needed."""
    groups: Tensor | None = None
    """Of whom each item is ``(N,)``, the patient, say: what is shared out keeps them together."""

    def batch(self, rows: Tensor) -> Batch:
        """Return the batch of some rows, on the device."""
        return self.place(self.take(rows))

    def batches(self, progress: Progress) -> Iterable[Batch]:
        """Yield one epoch's batches: `Job.batches` of a job with these items."""
        return self.load(self, progress) if self.load else map(self.batch, self.rows(progress))


class Step(Protocol):
    """One optimiser update from one batch; returns the detached loss (a scalar tensor)."""

    def __call__(self, job: Job, batch: Batch, optimizer: Optimizer, mark: Mark) -> Tensor:
        """Update once."""
        ...


def plain_step(job: Job, batch: Batch, optimizer: Optimizer, mark: Mark) -> Tensor:
    """Forward, backward, update; of several losses in turn, of which the sum is returned."""
    losses = []
    for loss_of, own in turns(job, optimizer):
        loss = loss_of(job.model, batch)
        mark("forward")
        job.backward(loss)
        mark("backward")
        job.update(own)
        mark("update")
        losses.append(loss.detach())
    return losses[0] if len(losses) == 1 else torch.stack(losses).sum()


def turns(job: Job, optimizer: Optimizer) -> Iterator[tuple[Loss, Optimizer]]:
    """Yield each loss of a step with the optimizer that is to follow it, one after the other."""
    if not isinstance(optimizer, Turns):
        if job.losses:
            raise NotApplicable(
                f"the optimizers of {', '.join(job.losses)} take turns, and a technique put one "
                f"{type(optimizer).__name__} in the place of all"
            )
        yield job.loss, optimizer
        return
    for name, own in optimizer.named.items():
        yield job.losses[name], own
        optimizer.zero_grad()  # what this loss left on weights that others train


def plain_backward(loss: Tensor) -> None:
    """Accumulate gradients of `loss`, a scalar."""
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped


def plain_update(optimizer: Optimizer) -> None:
    """Apply the gradients, then clear them."""
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def no_schedule(optimizer: Optimizer, progress: Progress) -> None:
    """Leave the optimizer and everything else as it is."""


def never_stop(job: Job, progress: Progress) -> bool:
    """Train all the epochs asked for."""
    return False


def same_model(model: nn.Module) -> nn.Module:
    """Return the trained model itself."""
    return model


def deploys_what_it_trains(job: Job) -> bool:
    """Return whether the snapshot is the trained model or a copy of it: no average, say."""
    return job.snapshot in (same_model, copy.deepcopy)


def finish_nothing(job: Job, model: nn.Module) -> nn.Module:
    """Deploy the snapshot as it is."""
    return model


@dataclass(frozen=True, kw_only=True)
class Job:
    """The replaceable parts of one training run on one device.

    The loop calls, for every epoch: ``schedule``, then ``step`` for each of ``batches``, then
    ``stop``; at the end ``finish(snapshot(model))`` is evaluated and its inference timed.
    """

    device: torch.device
    model: nn.Module
    """What the optimizer trains."""
    epochs: int
    data: DataCard
    batches: Batches
    """One epoch of batches, already on the device (or moved there as they are drawn)."""
    make_optimizer: MakeOptimizer
    loss: Loss
    """Forward pass and loss, a scalar: ``loss(model, batch)``."""
    evaluate: Callable[[nn.Module], Mapping[str, float]]
    """Metrics of a model on the test part; must not depend on the training's random state. With
    `bench.metrics.ItemMean` it tells the items' scores too, and fewer pairs of trials judge it."""
    sample: Callable[[int], Inputs]
    """Arguments of the deployed model's forward for n items: a tuple, ``model(*sample(n))``; a
    mapping, ``model(**sample(n))``; or ``(args, kwargs)``. With them inference is timed, and
    models are traced."""

    losses: Mapping[str, Loss] = field(default_factory=dict)
    """Where several optimizers take turns, the loss that each follows; both are made
    by `bench.turns.in_turns`."""
    schedule: Schedule = no_schedule
    """Called before every epoch."""
    make_scheduler: Callable[[Optimizer, Progress], LRScheduler] | None = None
    """Makes a scheduler of torch's for the optimizer that trains, whatever a technique made of it:
    ``make_scheduler(optimizer, progress)``, which knows ``progress.total_steps``."""
    scheduler_steps: Literal["update", "epoch"] = "update"
    """When the scheduler goes on: after every update, or after every epoch."""
    epoch_steps: int | None = None
    """Updates of an epoch, such as ``len(loader)``: what ``progress.total_steps`` is made of."""
    clip: float | None = None
    """The largest norm of the gradients of all that an optimizer trains, before it steps."""
    backward: Callable[[Tensor], None] = plain_backward
    update: Callable[[Optimizer], None] = plain_update
    """Clip, step, clear the gradients, average weights: everything between two batches."""
    step: Step = plain_step
    snapshot: Callable[[nn.Module], nn.Module] = same_model
    """The model as it would be deployed now, such as its averaged weights; cheap, repeatable."""
    finish: Callable[[Job, nn.Module], nn.Module] = finish_nothing
    """What happens once after training, on the snapshot: restore the best, prune, quantise."""
    stop: Callable[[Job, Progress], bool] = never_stop
    """Asked after every epoch; its time counts as training time."""
    validate: Callable[[nn.Module], float] | None = None
    """A loss (lower is better) on items held out of training, never on the test part."""
    evaluate_every: int = 0
    """Evaluate each so many epochs during training (for time to target); 0: only at the end."""
    encoder: str | None = None
    """Name of the model's first part, a submodule called once a batch with the batch's first
    tensor, whose output (one tensor, items along dim 0) is all of it that the rest sees."""
    fixed: FixedItems | None = None
    """Given where training items don't change from epoch to epoch."""
    epoch_items: int | None = None
    """Items that an epoch trains on, where it ends before all of the training part was drawn."""
    items: Callable[[Batch], int] = first_size
    split: Callable[[Batch, int], list[Batch]] = chunk_items
    select: Callable[[Batch, Tensor], Batch] = select_items
    item_losses: Callable[[nn.Module, Batch], Tensor] | None = None
    """The loss of each item ``(B,)``, where items are independent and `loss` is their mean."""
    targets: Targets | None = None
    """What ``batch[1]`` holds, where a batch is ``(inputs, targets)`` and the loss says so."""
    deployment: Callable[[nn.Module], Deployment] | None = None
    """What else it takes to use the deployed model on one's own items: the labels, what they are
    scaled by, what is fitted to its outputs. Asked once, by `bench train`."""
    again: Callable[[Mapping[str, object]], Job] | None = None
    """Builds a fresh job of the same baseline, seed and device with some settings changed and no
    technique (a teacher, say); given by the assembly, so a baseline leaves it out."""
    sibling: Callable[[int], Job] | None = None
    """Builds the same job as a technique is given, from another seed; given by the assembly."""
    group: Group = Group()  # noqa: RUF009 - a frozen value
    """The processes that make its steps together; this one alone, unless a technique says so."""
    taken: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Which techniques replaced which part; kept by `wrap` and `claim`."""
    relies_on: Mapping[str, tuple[nn.Module, ...]] = field(default_factory=dict)
    """By technique: modules of which a step has to call one, or it did nothing; kept by `relying`,
    and looked at in a rehearsal, before anything is measured."""

    def wrap(self, part: str, wrapper: Callable[[Any], Any], by: str) -> Job:
        """Replace `part` by ``wrapper(old)``, which calls the old one.

        The wrapper of a loss is put around each of `losses` too.
        """
        made = self._replaced(part, wrapper(getattr(self, part)), by)
        if part != "loss" or not self.losses:
            return made
        return replace(made, losses={name: wrapper(one) for name, one in self.losses.items()})

    def claim(self, part: str, new: object, by: str) -> Job:
        """Replace `part` outright; raise `Clash` when a technique already replaced it."""
        if earlier := self.taken.get(part):
            raise Clash(
                f"{by} and {earlier[-1]} both replace the job's {part}; use one of them at a time"
            )
        if part == "step" and self.step is not plain_step:
            raise NotApplicable(
                f"the baseline makes its steps by itself, and {by} would put another in their "
                "place; what trains several optimizers in turn can say so: bench.turns.in_turns"
            )
        if part == "loss" and self.losses:
            raise NotApplicable(f"there are several losses to replace: {', '.join(self.losses)}")
        return self._replaced(part, new, by)

    def relying(self, modules: Iterable[nn.Module], by: str) -> Job:
        """Note that a technique does nothing unless a step calls one of these modules."""
        return replace(self, relies_on={**self.relies_on, by: tuple(modules)})

    def _replaced(self, part: str, new: Any, by: str) -> Job:
        taken = {**self.taken, part: (*self.taken.get(part, ()), by)}
        return replace(self, **{part: new, "taken": taken})
