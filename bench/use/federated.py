"""Train a recipe on parts of its data that never meet: what a client does in a round.

Nothing here is of Flower's: which items are whose, what a client trains and sends, and what of it
can't be used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.data.sampling import shuffled
from bench.errors import NotApplicable
from bench.job import FixedItems, Job, Progress, finish_nothing, never_stop
from bench.model.calls import ask
from bench.model.nested import tensors_in
from bench.model.train_mode import evaluating
from bench.model.unsaved import put_back, unsaved
from bench.random_state import seed_everything
from bench.records.measurement import Evaluation
from bench.trial.training import train
from bench.use.program import close

State = Mapping[str, Tensor]
"""Weights and buffers, by name."""
UNLIKE_ROUNDS = ("stop", "finish", "snapshot", "batches", "fixed", "step")
"""Parts of a job that a round of a few epochs has no whole training for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How often weights are exchanged."""

    rounds: int
    epochs: int
    """That a client trains in one round."""
    seed: int


@dataclass(frozen=True, slots=True)
class Update:
    """What a client sends after a round."""

    state: State
    items: int
    """That it has trained on in an epoch."""
    loss: float
    """The mean of its last epoch."""


def dealt(count: int, groups: Tensor | None, clients: int, seed: int) -> list[Tensor]:
    """Return the rows of each client: every item is one client's, and so is all of a group.

    `groups` ``(N,)`` tells of whom each item is: the patient, say. Groups are shuffled, and each is
    given to the client with the fewest items so far. Raises `NotApplicable` for too few.
    """
    of = torch.arange(count) if groups is None else groups.cpu()
    names, place = torch.unique(of, return_inverse=True)
    if len(names) < clients:
        what = "items" if groups is None else "groups (patients, say) of items"
        raise NotApplicable(f"{clients} clients can't share {len(names)} {what}; ask for fewer")
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    sizes, held = torch.bincount(place), [0] * clients
    owner = torch.empty(len(names), dtype=torch.long)
    for name in order.tolist():
        owner[name] = poorest = held.index(min(held))
        held[poorest] += int(sizes[name])
    return [torch.nonzero(owner[place] == client).flatten() for client in range(clients)]


def check_job(job: Job) -> FixedItems:
    """Return a job's items; raise `NotApplicable` where a round can't train it as it is meant."""
    if job.fixed is None or job.batches != job.fixed.batches:
        by = " and ".join(job.taken.get("batches", ()))
        why = f"{by} changes them" if by else "the job has no `fixed` items that its batches are of"
        raise NotApplicable(f"its items can't be shared out among clients: {why}")
    for part in UNLIKE_ROUNDS:
        if by := " and ".join(job.taken.get(part, ())):
            raise NotApplicable(f"{by} changes the job's {part}, which looks at a whole training,"
                                " and a client trains a few epochs at a time")  # fmt: skip
    if job.make_scheduler is not None:
        raise NotApplicable("the job's scheduler begins anew in each round: say `schedule`")
    return job.fixed


def local(job: Job, rows: Tensor, seed: int) -> Job:
    """Return a job that trains on some rows of its items, in shuffled batches as large as its own.

    A last batch that is not full is dropped, as baselines do, but another one in each epoch. What
    chooses weights, or ends the training, by central data is left out.
    """
    items = check_job(job)
    if not len(rows):
        raise NotApplicable("a client has no item to train on")
    progress = Progress(job.epochs, epoch_steps=job.epoch_steps)
    size = min(len(rows), max(map(len, items.rows(progress))))
    draw = shuffled(len(rows), size, seed)
    own = replace(items, count=len(rows), rows=lambda p: (rows[at] for at in draw(p)))
    return replace(
        job, fixed=own, batches=own.batches, epoch_items=len(rows) - len(rows) % size,
        epoch_steps=None, stop=never_stop, finish=finish_nothing,
    )  # fmt: skip


def trained_round(job: Job, state: State, plan: Plan, number: int) -> Update:
    """Train a client's job for a round, from the weights of all; return what it sends.

    `number` counts from 1: the job's schedule goes on from round to round. Raises `NotApplicable`
    where what it sends is not what it has trained.
    """
    job.model.load_state_dict(dict(state))
    before = unsaved(job.model)
    done = (number - 1) * plan.epochs
    made = replace(
        job, epochs=plan.epochs, evaluate_every=0, evaluate=lambda model: {},
        schedule=lambda optimizer, progress: job.schedule(
            optimizer,
            replace(progress, epoch=progress.epoch + done, total_epochs=plan.rounds * plan.epochs),
        ),
    )  # fmt: skip
    seed_everything(plan.seed * 1_000_003 + number)
    result = train(made)
    _check_sent(job, before)
    assert job.epoch_items is not None
    return Update(
        sendable(job.model.state_dict()), job.epoch_items, result.progress.epoch_losses[-1]
    )


def sendable(state: State) -> State:
    """Return a copy of weights in numbers that are averaged as such: 16 bits and fewer as 32."""
    return {
        name: value.detach().to(torch.float32 if _is_short(value) else value.dtype, copy=True)
        for name, value in state.items()
    }


def _is_short(value: Tensor) -> bool:
    return value.is_floating_point() and value.element_size() < 4


def _check_sent(job: Job, before: Mapping[str, object]) -> None:
    """Raise `NotApplicable` where the model answers by numbers that no state of it holds."""
    after = unsaved(job.model)
    if all(_equal(before.get(name), value) for name, value in after.items()):
        return
    with torch.no_grad(), evaluating(job.model):
        own = tensors_in(ask(job.model, job.sample(2)))
        put_back(job.model, before)
        sent = tensors_in(ask(job.model, job.sample(2)))
        put_back(job.model, after)
    if not close(own, sent):
        raise NotApplicable(
            "its model answers by what it counts outside of its weights (buffers with"
            " persistent=False, attributes), which is not exchanged"
        )


def _equal(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return one == other


def central(job: Job, plan: Plan) -> list[Evaluation]:
    """Train on all items for as many epochs; return what the test part says where rounds end."""
    items = check_job(job)
    own = local(job, torch.arange(items.count), plan.seed)
    seed_everything(plan.seed)
    total = plan.rounds * plan.epochs
    return train(replace(own, epochs=total, evaluate_every=plan.epochs)).evaluations


def unfit(state: State, like: State) -> str | None:
    """Say why weights can't be averaged with those of others, or None where they can."""
    if {*state} != {*like}:
        return "its weights have other names"
    for name, value in state.items():
        if value.shape != like[name].shape:
            return f"{name} has the shape {tuple(value.shape)}, not {tuple(like[name].shape)}"
        if value.is_floating_point() and not torch.isfinite(value).all():
            return f"{name} holds {_worst(value)}"
    return None


def _worst(value: Tensor) -> str:
    return "NaN" if torch.isnan(value).any() else "an infinity"


def evaluated(job: Job, state: State) -> dict[str, float]:
    """Return the metrics of weights on the test part."""
    job.model.load_state_dict(dict(state))
    found: Callable[..., Mapping[str, float]] = job.evaluate
    return {name: float(value) for name, value in found(job.snapshot(job.model)).items()}


def sizes(rows: Sequence[Tensor]) -> str:
    """Return how many items each client has, as a text."""
    return ", ".join(str(len(one)) for one in rows)
