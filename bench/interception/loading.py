"""See batches as a script draws them from its DataLoaders, and draw them in a thread before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import get_ident
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler
from torch.utils.data.dataloader import _BaseDataLoaderIter, _DatasetKind

from bench.errors import NotApplicable
from bench.interception.events import Kind
from bench.interception.patches import Patches
from bench.interception.reading import AHEAD, drawn_so_far
from bench.interception.script import Script
from bench.interception.watch import items_of

DRAWING, DRAW = Kind.DRAWING, Kind.DRAW  # an enum is slow to look things up in
NOTHING = object()
"""What a thread finds when all was drawn."""
ASKED = "_asked_by_bench"
"""Where what draws keeps how many items each batch that was asked for is made of, 0: unknown."""
BEGUN = "_begun_by_bench"
"""Where it keeps its loader, and the random state that it was begun in, until its first batch."""


class Draws:
    """Notes every draw of the script's own thread; lets techniques change loaders before."""

    def __init__(self, script: Script, patches: Patches) -> None:
        self._script = script
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
            return self._ahead(batches) if loader in script.read_in_thread else batches

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


def _order_state(loader: DataLoader[Any]) -> object:
    """Return the state of what a loader's order is drawn from; None where it is always the same."""
    sampler: Any = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    if type(sampler) is BatchSampler:
        sampler = sampler.sampler
    if type(sampler) is SequentialSampler:
        return None
    own = getattr(sampler, "generator", None)
    return own.get_state().tolist() if isinstance(own, torch.Generator) else drawn_so_far()
