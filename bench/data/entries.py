"""Count, split and select items that are the entries of a list: images of several sizes, say."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from bench.batches import Batch, Inputs, chunk_items, first_size, rebuilt, select_items

Entries = Callable[[list[Any] | Tensor], Any]
"""Chooses among entries."""


def lengths(one: Inputs, many: Inputs) -> tuple[int, int] | None:
    """Return how long the first list is in two samples, where it grows with their items."""
    if not (_is_tree(one) and _is_tree(many)):
        return None
    first, other = _values(one), _values(many)
    if type(one) in (list, tuple) and 0 < len(first) < len(other):
        return len(first), len(other)
    found = (lengths(a, b) for a, b in zip(first, other, strict=False))
    return next((pair for pair in found if pair), None)


def count(batch: Batch) -> int:
    """Return how many entries the list of a batch's items has."""
    return len(_path(batch)[-1]) if _in_list(batch) else first_size(batch)


def split(batch: Batch, parts: int) -> list[Batch]:
    """Split a batch into at most `parts` of them."""
    if not _in_list(batch):
        return chunk_items(batch, parts)
    items = count(batch)
    size = max(1, -(-items // parts))
    starts = range(0, max(items, 1), size)
    return [_chosen(batch, operator.itemgetter(slice(at, at + size))) for at in starts]


def select(batch: Batch, index: Tensor) -> Batch:
    """Return the items of a batch at `index` ``(N,)``, in that order."""

    def chosen(entries: list[Any] | Tensor) -> Any:
        if isinstance(entries, Tensor):
            return entries[index]
        return [entries[place] for place in index.tolist()]

    return _chosen(batch, chosen) if _in_list(batch) else select_items(batch, index)


def _chosen(batch: Batch, choose: Entries) -> Batch:
    """Choose among the entries of all that has one for each item: lists and tensors."""
    path = _path(batch)
    around, items = {id(outer) for outer in path[:-1]}, len(path[-1])

    def changed(value: Batch) -> Batch:
        if id(value) in around:
            return rebuilt(value, map(changed, _values(value)))
        if isinstance(value, Tensor):
            return choose(value) if value.dim() and len(value) == items else value
        if type(value) in (list, tuple):
            return type(value)(choose(list(value))) if len(value) == items else value
        return rebuilt(value, map(changed, _values(value))) if _is_tree(value) else value

    return changed(batch)


def _path(batch: Batch) -> list[Batch]:
    """Return the list whose entries are the items, last, and what it lies in.

    It is one of tensors alike, or else of trees: an image and its boxes, for each.
    """
    path = [batch]
    while not _are_alike(path[-1]):
        inner = next((one for one in _values(path[-1]) if _is_tree(one)), None)
        if inner is None or (type(path[-1]) is list and not _are_alike(inner)):
            break
        path.append(inner)
    return path


def _in_list(batch: Batch) -> bool:
    """Tell whether a batch's items are in a list at all: a sample alone may be given as one."""
    path = _path(batch)
    return len(path) > 1 or type(batch) is list


def _are_alike(value: Batch) -> bool:
    if type(value) not in (list, tuple) or not value:
        return False
    if not all(isinstance(one, Tensor) for one in value):
        return all(isinstance(one, Mapping) for one in value)
    return len({(one.dim(), one.dtype) for one in value}) == 1


def _is_tree(value: Batch) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _values(value: Batch) -> list[Batch]:
    found: Iterator[Batch] = iter(value.values() if isinstance(value, Mapping) else value)
    return list(found)
