"""See batches as a script draws them from its DataLoaders, and read them ahead."""

from __future__ import annotations

import itertools
import random
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data.dataloader import _BaseDataLoaderIter

from bench.errors import NotApplicable
from bench.interception.events import Kind
from bench.interception.patches import Patches
from bench.interception.script import Script
from bench.interception.watch import items_of

THREAD = "thread"
AHEAD = 2
"""Batches that a thread reads ahead."""


class Draws:
    """Notes every draw of the script's own thread; lets techniques change loaders before."""

    def __init__(self, script: Script, patches: Patches, loader: str | None) -> None:
        self._script, self._loader = script, loader
        self._seen: WeakSet[DataLoader[Any]] = WeakSet()
        self._thread = threading.get_ident()
        self._inside = False
        iterate, draw = DataLoader.__iter__, _BaseDataLoaderIter.__next__

        def __iter__(loader: DataLoader[Any]) -> Any:  # noqa: N807
            if loader not in self._seen and threading.get_ident() == self._thread:
                self._seen.add(loader)
                script.changes_loader(loader)
            batches = iterate(loader)
            return self._ahead(batches) if self._loader == THREAD else batches

        def __next__(batches: Any) -> Any:  # noqa: N807
            if self._inside or threading.get_ident() != self._thread:
                return draw(batches)
            return self._noted(draw, batches)

        patches.replace(DataLoader, "__iter__", __iter__)
        patches.replace(_BaseDataLoaderIter, "__next__", __next__)

    def _noted(self, draw: Any, *of: Any) -> Any:
        recorder, items = self._script.recorder, 0
        if self._script.over:
            self._script.finish()
        self._inside = True
        recorder.note(Kind.DRAWING)
        try:
            batch = draw(*of)
            items = items_of(batch)
        finally:
            self._inside = False
            recorder.note(Kind.DRAW, items)
        return batch

    def _ahead(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield batches that a thread has drawn in the meantime."""
        waiting: deque[Future[Any]] = deque()
        nothing = object()
        with ThreadPoolExecutor(1) as pool:
            for _ in range(AHEAD):
                waiting.append(pool.submit(next, batches, nothing))
            while True:
                first = waiting.popleft()
                found = self._noted(first.result)
                if found is nothing:
                    return
                waiting.append(pool.submit(next, batches, nothing))
                yield found


def read_by(loader: str | None, rehearsed: bool) -> Any:
    """Return what lets a DataLoader be read as the setting `loader` says."""

    def change(one: DataLoader[Any]) -> None:
        if loader == THREAD and one.num_workers:
            return  # it only takes what the script's own workers have made
        if isinstance(one.dataset, IterableDataset):
            raise NotApplicable(
                "a DataLoader streams (IterableDataset): each worker would give all, and what it "
                "draws at random can't be seen beforehand"
            )
        if rehearsed and loader is not None:
            _hold_still(one, loader)
        # workers that lived on would leave out a draw of torch's at the beginning of each epoch
        if loader not in (None, THREAD) and one.num_workers != int(loader or 0):
            one.num_workers = int(loader or 0)
            one.prefetch_factor = AHEAD

    return change


def _hold_still(loader: DataLoader[Any], reader: str) -> None:
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
