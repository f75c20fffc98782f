"""A user's loader made again: its order from a seed, and what its data is."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
)

from bench.batches import Batch, first_size
from bench.job import DataCard
from bench.random_state import seed_everything, undisturbed

LOOKED_AT = 64
"""So many items are read for the hash of a data set, beside all that it holds in memory."""


def length(loader: object) -> int | None:
    """Return how many batches a loader gives, or items a data set; None where it doesn't know."""
    try:
        return len(loader) if isinstance(loader, Sized) else None
    except TypeError:  # of a stream
        return None


def reloaded(
    loader: Iterable[Batch], random: torch.Generator, size: int | None = None
) -> Iterable[Batch]:
    """Return a loader like another, that draws from `random` alone, in batches of `size`.

    What is no DataLoader, or streams, is returned as it is.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return loader
    options: dict[str, Any] = {
        name: getattr(loader, name)
        for name in (
            "num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn",
            "prefetch_factor", "persistent_workers", "multiprocessing_context",
        )
    }  # fmt: skip
    drawn = _drawn(loader.batch_sampler or loader.sampler, random, size)
    by = (
        {"batch_sampler": drawn} if loader.batch_sampler else {"batch_size": None, "sampler": drawn}
    )
    return DataLoader(loader.dataset, generator=random, **by, **options)


def _drawn(sampler: Any, random: torch.Generator, size: int | None) -> Any:
    """Return a sampler like another, that draws from `random`."""
    if type(sampler) is BatchSampler:
        inner = _drawn(sampler.sampler, random, None)
        return BatchSampler(inner, size or sampler.batch_size, sampler.drop_last)
    made = copy.copy(sampler)
    if hasattr(made, "generator"):
        made.generator = random
    return made


def epoch_items(loader: Iterable[Batch]) -> int | None:
    """Return how many items an epoch of a DataLoader has, where that are not all of its data set.

    None where it has these, or where a stream or other batches than torch's don't tell.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return None
    by = loader.batch_sampler
    if isinstance(by, list | tuple):
        drawn: int | None = sum(map(len, by))
    else:
        drawn = length(by.sampler) if type(by) is BatchSampler else None
    if type(by) is BatchSampler and drawn is not None and by.drop_last:
        drawn -= drawn % by.batch_size
    return None if drawn == length(loader.dataset) else drawn


def card_of(
    name: str, train: Iterable[Batch], test: Iterable[Batch], *others: Iterable[Batch]
) -> DataCard:
    """Return what is known of the data of loaders: how many items, and a hash of all of them."""
    counts = [_count(loader) for loader in (train, test)]
    with undisturbed(torch.device("cpu")):
        seed_everything(0)  # items may be augmented at random
        tensors = [tensor for loader in (train, test, *others) for tensor in _looked_at(loader)]
    card = DataCard.of(name, tensors, *counts)
    return replace(card, notes=tuple(_unseen(train)))


def _unseen(loader: Iterable[Batch]) -> Iterator[str]:
    """Say what of the items a hash doesn't cover."""
    dataset = getattr(loader, "dataset", None)
    if dataset is None or isinstance(dataset, IterableDataset):
        yield from ("the data's hash covers no item of a stream",) * (length(loader) is None)
    elif (count := length(dataset) or 0) > LOOKED_AT and next(_held(dataset), None) is None:
        yield f"the data's hash covers {LOOKED_AT} of {count} items: they are read one by one"


def _count(loader: Iterable[Batch]) -> int:
    dataset = getattr(loader, "dataset", None)
    batched = getattr(loader, "batch_size", None) or getattr(loader, "batch_sampler", None)
    if dataset is not None and (batched or isinstance(dataset, IterableDataset)):
        return length(dataset) or 0
    return sum(map(first_size, loader)) if length(loader) is not None else 0


def _looked_at(loader: Iterable[Batch]) -> Iterator[Tensor]:
    """Yield the tensors of a loader's items, or of what gives batches without a dataset."""
    dataset = getattr(loader, "dataset", None)
    if dataset is not None:
        yield from _items_of(dataset)
    elif length(loader) is not None:
        yield from _leaves(list(loader))


def _items_of(dataset: Dataset[Batch]) -> Iterator[Tensor]:
    """Yield all of a dataset that lies in tensors, or of another some items, evenly spread."""
    if isinstance(dataset, TensorDataset):
        yield from dataset.tensors
    elif isinstance(dataset, Subset):
        yield torch.tensor(list(dataset.indices))
        yield from _items_of(dataset.dataset)
    elif not isinstance(dataset, IterableDataset) and (count := length(dataset)) is not None:
        yield torch.tensor(count)
        yield from _held(dataset)
        for at in sorted({round(at) for at in np.linspace(0, count - 1, min(count, LOOKED_AT))}):
            yield from _leaves(dataset[at])


def _held(dataset: object) -> Iterator[Tensor]:
    """Yield what a data set holds of its items in memory: tensors, arrays, tables, lists, text."""
    for value in vars(dataset).values() if hasattr(dataset, "__dict__") else ():
        yield from _content(value)


def _content(value: Any) -> Iterator[Tensor]:
    """Yield values as tensors; neither what lies in files nor the places of these."""
    if isinstance(value, Tensor):
        yield from _leaves(value)
    elif isinstance(value, Dataset):
        yield from _items_of(value)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _content(part)
    elif isinstance(value, np.memmap):
        return
    elif isinstance(value, str):
        yield from () if _is_place(value) else _leaves(value)
    elif isinstance(value, np.ndarray) or hasattr(value, "to_numpy"):
        yield from _array(value if isinstance(value, np.ndarray) else value.to_numpy())
    elif isinstance(value, list | tuple) and value:
        yield from _listed(list(value))


def _listed(values: list[Any]) -> Iterator[Tensor]:
    """Yield a list's content: one of plain values at once, for there may be millions."""
    if not all(map(_is_plain, values)):
        for value in values:
            yield from _content(value)
    elif not any(isinstance(one, str) and _is_place(one) for one in _flat(values[0])):
        yield _bytes(repr(values).encode())


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bytes | int | float)


def _flat(value: Any) -> list[Any]:
    return (
        [one for part in value for one in _flat(part)] if type(value) in (list, tuple) else [value]
    )


def _is_place(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or with a zero byte in it
        return False


def _array(array: Any) -> Iterator[Tensor]:
    if array.dtype.kind == "O":
        yield from _listed(array.reshape(-1).tolist())
    elif array.dtype.kind in "biufc":
        yield torch.from_numpy(np.array(array))
    else:  # texts and times
        yield _bytes(np.ascontiguousarray(array).tobytes())


def _bytes(content: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(content, np.uint8).copy())


def _leaves(item: Batch) -> Iterator[Tensor]:
    if isinstance(item, Tensor):
        yield item.to_dense() if item.layout is not torch.strided else item
    elif isinstance(item, dict | list | tuple):
        for part in item.values() if isinstance(item, dict) else item:
            yield from _leaves(part)
    elif isinstance(item, str | bytes):
        yield _bytes(item.encode() if isinstance(item, str) else item)
    else:
        array = np.asarray(item)
        if array.dtype.kind in "biuf":
            yield torch.from_numpy(np.array(array))
