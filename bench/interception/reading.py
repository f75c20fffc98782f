"""Let a script's loaders be read by workers, or a thread, where that gives the same batches.

A rehearsal looks at what each draws at random. At loaders that a training comes to later, such as
those of a validation, nobody has looked: they stay as they are.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from bench.errors import NotApplicable
from bench.interception.content import content_of
from bench.interception.held import Held, attributes_of, held
from bench.interception.patches import Patches
from bench.interception.script import REHEARSED_STEPS, Script
from bench.random_state import undisturbed

THREAD = "thread"
AHEAD = 2
"""Batches that are read ahead."""
NAMED = 3
"""Counts that are named, at most."""
LOOKED_AT = 20
"""Batches whose items are chosen to see whether that draws random numbers."""
FEW = 3
"""As many must be there before what a sampler draws from is held against it: with the last one it
may draw for what comes after."""


def read_by(loader: str, script: Script) -> Callable[[DataLoader[Any]], None]:
    """Return what lets a DataLoader be read as the setting `loader` says.

    What a rehearsal does not come to is left as it is, unless it gives what an earlier one gave.
    """
    looked_at: list[Parts] = []

    def change(one: DataLoader[Any]) -> None:
        parts, late = Parts.of(one), script.steps >= REHEARSED_STEPS
        if late and not any(parts.are_alike(other) for other in looked_at):
            return
        if not (loader == THREAD and one.num_workers):  # it only takes what workers have made
            _check(one, loader, script)
        if not late:
            looked_at.append(parts)
        if loader == THREAD:
            script.read_in_thread.add(one)
        # workers that lived on would leave out a draw of torch's at the beginning of each epoch
        elif one.num_workers != int(loader):
            one.num_workers = int(loader)
            one.prefetch_factor = AHEAD

    return change


class Parts(NamedTuple):
    """What gives a loader's batches, before anything was changed."""

    dataset: object
    collate: object
    sampler: type
    batch_sampler: type
    workers: bool

    @classmethod
    def of(cls, one: DataLoader[Any]) -> Parts:
        """Return those of a loader."""
        kinds = type(one.sampler), type(one.batch_sampler)
        return cls(one.dataset, one.collate_fn, *kinds, bool(one.num_workers))

    def are_alike(self, other: Parts) -> bool:
        """Tell whether these choose, make and collate the items of the same dataset in one way."""
        return self.dataset is other.dataset and self[1:] == other[1:]


def _check(one: DataLoader[Any], loader: str, script: Script) -> None:
    """Raise `NotApplicable` where other batches would be read, as far as a trial may look."""
    if isinstance(one.dataset, IterableDataset):
        raise NotApplicable(
            "a DataLoader streams (IterableDataset): each worker would give all, and what it "
            "draws at random can't be seen beforehand"
        )
    if script.rehearsed:
        _hold_still(one, loader, script.device)


def _hold_still(loader: DataLoader[Any], reader: str, device: torch.device) -> None:
    """Raise `NotApplicable` where making a batch draws random numbers: in a worker, others."""
    before, own = drawn_so_far(), _held(loader)
    with _restoring() as restored:
        batch = _made(loader)
    if restored and reader == THREAD:
        raise NotApplicable(
            "the items of a DataLoader seed the random generators for a while: in a thread, what "
            "the training draws meanwhile would be others"
        )
    if before != drawn_so_far():
        raise NotApplicable(
            "the items of a DataLoader, or what collates them, draw random numbers (augmentation): "
            "read ahead, they would draw others"
        )
    with undisturbed(device):
        if name := _moved(loader, own, batch):
            raise NotApplicable(
                "the items of a DataLoader, or what collates them, draw random numbers, or count, "
                f"by what they keep themselves ({name}): a worker begins each epoch with a copy of "
                "it, and read ahead, they would draw others"
            )
        if _draws_again(loader):
            raise NotApplicable(
                "the sampler of a DataLoader draws random numbers for each batch: read ahead, "
                "they would be others, and so would what the training draws"
            )


def _made(loader: DataLoader[Any]) -> object:
    """Return what is made of a loader's first items."""
    first = itertools.islice(range(len(loader.dataset)), 2)  # type: ignore[arg-type]  # Sized
    items = [loader.dataset[item] for item in first]
    return items if loader.batch_sampler is None else loader.collate_fn(items)


def _moved(loader: DataLoader[Any], own: Held, batch: object) -> str | None:
    """Return the names of what moved as a batch was made, and makes others; None: nothing does.

    Counts of hits, of seconds or of what is cached move too: the same items then give the same.
    """
    later = _held(loader)
    if name := own.drawn(later):
        return name
    counts = own.counted(later)
    if not counts or ((content := content_of(batch)) and content == content_of(_made(loader))):
        return None
    return ", ".join(counts[:NAMED])


def _draws_again(loader: DataLoader[Any]) -> bool:
    """Tell whether what chooses a loader's items draws random numbers after its first batch.

    It does so in the training's own process, always: what it keeps itself moves as it did. What
    others may draw from as well may be drawn from as the last batch was given.
    """
    begun: tuple[object, ...] | None = None
    beside, parts = list[Held](), (loader.sampler, loader.batch_sampler)
    with _as_they_were(*parts):
        for _ in itertools.islice(loader.batch_sampler or loader.sampler, LOOKED_AT):
            state = drawn_so_far()
            begun = begun or state
            if begun != state:
                return True
            if len(beside) < FEW:
                beside.append(held(sampler=parts[0], batch_sampler=parts[1]))
    return len(beside) == FEW and beside[0].drawn(beside[1], beside=True) is not None


def _held(loader: DataLoader[Any]) -> Held:
    """Return what all that makes a loader's batches of its items keeps itself."""
    return held(dataset=loader.dataset, collate_fn=loader.collate_fn)


@contextmanager
def _as_they_were(*objects: object) -> Iterator[None]:
    """Put the attributes of objects back afterwards: a sampler may count what it has given."""
    kept = [(own, {**own}) for one in objects if (own := attributes_of(one)) is not None]
    try:
        yield
    finally:
        for own, before in kept:
            own.clear()
            own.update(before)


@contextmanager
def _restoring() -> Iterator[list[str]]:
    """Yield which generators' states are set within the block."""
    found: list[str] = []

    def noting(name: str, plain: Any) -> Any:
        def set_state(*args: Any, **kwargs: Any) -> None:
            found.append(name)
            plain(*args, **kwargs)

        return set_state

    with Patches() as patches:
        for owner, name in (
            (torch, "set_rng_state"),
            (np.random, "set_state"),
            (random, "setstate"),
        ):
            patches.replace(owner, name, noting(name, getattr(owner, name)))
        yield found


def drawn_so_far() -> tuple[object, ...]:
    """Return the state of torch's, numpy's and Python's own generators."""
    kind, keys, position, *_ = np.random.get_state(legacy=True)
    return (torch.get_rng_state().tolist(), kind, keys.tolist(), position, random.getstate())  # type: ignore[union-attr]  # legacy
