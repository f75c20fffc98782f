"""See batches as a script draws them from its DataLoaders, and read them ahead."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import get_ident
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler
from torch.utils.data.dataloader import _BaseDataLoaderIter, _DatasetKind

from bench.errors import NotApplicable
from bench.interception.events import Kind
from bench.interception.patches import Patches
from bench.interception.script import Script
from bench.interception.watch import items_of
from bench.random_state import undisturbed

DRAWING, DRAW = Kind.DRAWING, Kind.DRAW  # an enum is slow to look things up in
THREAD = "thread"
AHEAD = 2
"""Batches that a thread reads ahead."""
LOOKED_AT = 20
"""Batches whose items are chosen to see whether that draws random numbers."""
NOTHING = object()
"""What a thread finds when all was drawn."""
ASKED = "_asked_by_bench"
"""Where what draws keeps how many items each batch that was asked for is made of, 0: unknown."""
BEGUN = "_begun_by_bench"
"""Where it keeps its loader, and the random state that it was begun in, until its first batch."""


class Draws:
    """Notes every draw of the script's own thread; lets techniques change loaders before."""

    def __init__(self, script: Script, patches: Patches, loader: str | None) -> None:
        self._script, self._loader = script, loader
        self._seen: WeakSet[DataLoader[Any]] = WeakSet()
        self._turned: WeakSet[DataLoader[Any]] = WeakSet()
        """Those that were given workers, or lost them: with workers the order of the items is drawn
        when a loader is begun, without at its first batch."""
        self._thread = get_ident()
        self._inside = False
        iterate, draw = DataLoader.__iter__, _BaseDataLoaderIter.__next__
        begin: Any = _BaseDataLoaderIter._reset
        ask: Any = _BaseDataLoaderIter._next_index

        def __iter__(loader: DataLoader[Any]) -> Any:  # noqa: N807
            own = get_ident() == self._thread
            batches = self._begun(loader, iterate) if own else iterate(loader)
            return self._ahead(batches) if self._loader == THREAD else batches

        def __next__(batches: Any) -> Any:  # noqa: N807
            if self._inside or get_ident() != self._thread:
                return draw(batches)
            return self._noted(batches, draw, batches)

        def _reset(batches: Any, *args: Any, **kwargs: Any) -> None:
            vars(batches).pop(ASKED, None)
            begin(batches, *args, **kwargs)

        def _next_index(batches: Any) -> Any:
            index = ask(batches)
            asked = vars(batches).setdefault(ASKED, deque())
            asked.append(_named_in(index, batches._dataset_kind))
            return index

        patches.replace(DataLoader, "__iter__", __iter__)
        patches.replace(_BaseDataLoaderIter, "__next__", __next__)
        patches.replace(_BaseDataLoaderIter, "_reset", _reset)
        patches.replace(_BaseDataLoaderIter, "_next_index", _next_index)

    def _begun(self, loader: DataLoader[Any], iterate: Any) -> Any:
        """Begin a loader, which techniques change before its first time."""
        script, first = self._script, loader not in self._seen
        if first:
            self._seen.add(loader)
            alone = loader.num_workers == 0
            script.changes_loader(loader)
            if alone != (loader.num_workers == 0):
                self._turned.add(loader)
        batches = iterate(loader)
        looked = script.rehearsed or (first and script.limit is not None)
        if looked and loader in self._turned and (state := _order_state(loader)) is not None:
            setattr(batches, BEGUN, (loader, state))
        return batches

    def _hold_order(self, batches: object) -> None:
        """Refuse where it matters whether a loader's order is drawn now, or was when it began."""
        loader, state = getattr(batches, BEGUN)
        delattr(batches, BEGUN)
        if state != _order_state(loader):
            self._script.end(
                NotApplicable(
                    "random numbers are drawn between the beginning of a DataLoader and its first "
                    "batch (loaders that are drawn from together, or one begun early): where "
                    "workers read it, its order is drawn before them, and would be another"
                )
            )

    def _noted(self, batches: object, draw: Any, *of: Any) -> Any:
        recorder, items = self._script.recorder, 0
        if self._script.over:
            self._script.finish()
        if hasattr(batches, BEGUN):
            self._hold_order(batches)
        self._inside = True
        recorder.note(DRAWING)
        try:
            batch = draw(*of)
            asked = getattr(batches, ASKED, None)
            items = _items(batch, asked.popleft() if asked else 0)
        finally:
            self._inside = False
            recorder.note(DRAW, items)
        return batch

    def _ahead(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield batches that a thread has drawn in the meantime."""
        waiting: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(1) as pool:
            for _ in range(AHEAD):
                waiting.append(pool.submit(next, batches, NOTHING))
            while True:
                first = waiting.popleft()
                found = self._noted(batches, first.result)
                if found is NOTHING:
                    return
                waiting.append(pool.submit(next, batches, NOTHING))
                yield found


def _named_in(index: Any, kind: int) -> int:
    """Return how many items of a dataset an index names; 0 where it is one, or none is needed."""
    if kind != _DatasetKind.Map or not isinstance(index, (list, tuple, torch.Tensor, np.ndarray)):
        return 0
    return 0 if isinstance(index, torch.Tensor) and not index.dim() else len(index)


def _items(batch: Any, asked: int) -> int:
    """Return how many items a batch is of: those it was asked for, if it was for several.

    One item of a dataset may be a whole batch that was made before.
    """
    if batch is NOTHING:
        return 0
    if asked > 1:
        return asked
    alone = asked and isinstance(batch, (list, tuple)) and batch and all(map(_is_of_one, batch))
    return asked if alone else items_of(batch)


def _is_of_one(part: Any) -> bool:
    return isinstance(part, (list, tuple)) and len(part) == 1


def read_by(loader: str | None, script: Script) -> Any:
    """Return what lets a DataLoader be read as the setting `loader` says."""

    def change(one: DataLoader[Any]) -> None:
        if loader == THREAD and one.num_workers:
            return  # it only takes what the script's own workers have made
        if isinstance(one.dataset, IterableDataset):
            raise NotApplicable(
                "a DataLoader streams (IterableDataset): each worker would give all, and what it "
                "draws at random can't be seen beforehand"
            )
        if script.rehearsed and loader is not None:
            _hold_still(one, loader, script.device)
        # workers that lived on would leave out a draw of torch's at the beginning of each epoch
        if loader not in (None, THREAD) and one.num_workers != int(loader or 0):
            one.num_workers = int(loader or 0)
            one.prefetch_factor = AHEAD

    return change


def _hold_still(loader: DataLoader[Any], reader: str, device: torch.device) -> None:
    """Raise `NotApplicable` where making a batch draws random numbers: in a worker, others."""
    before = _random_state()
    first = itertools.islice(range(len(loader.dataset)), 2)  # type: ignore[arg-type]  # Sized
    with _restoring() as restored:
        items = [loader.dataset[item] for item in first]
        if loader.batch_sampler is not None:
            loader.collate_fn(items)
    if restored and reader == THREAD:
        raise NotApplicable(
            "the items of a DataLoader seed the random generators for a while: in a thread, what "
            "the training draws meanwhile would be others"
        )
    if before != _random_state():
        raise NotApplicable(
            "the items of a DataLoader, or what collates them, draw random numbers (augmentation): "
            "read ahead, they would draw others"
        )
    with undisturbed(device):
        if _draws_again(loader):
            raise NotApplicable(
                "the sampler of a DataLoader draws random numbers for each batch: read ahead, "
                "they would be others, and so would what the training draws"
            )


def _draws_again(loader: DataLoader[Any]) -> bool:
    """Tell whether what chooses a loader's items draws random numbers after its first batch."""
    indices = itertools.islice(loader.batch_sampler or loader.sampler, LOOKED_AT)
    begun = next((_random_state() for _ in indices), None)
    return any(_random_state() != begun for _ in indices)


def _order_state(loader: DataLoader[Any]) -> object:
    """Return the state of what a loader's order is drawn from; None where it is always the same."""
    sampler: Any = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    if type(sampler) is BatchSampler:
        sampler = sampler.sampler
    if type(sampler) is SequentialSampler:
        return None
    own = getattr(sampler, "generator", None)
    return own.get_state().tolist() if isinstance(own, torch.Generator) else _random_state()


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


def _random_state() -> tuple[object, ...]:
    kind, keys, position, *_ = np.random.get_state(legacy=True)
    return (torch.get_rng_state().tolist(), kind, keys.tolist(), position, random.getstate())  # type: ignore[union-attr]  # legacy
