"""Ask how an answer changes where a part of the item is hidden: an occlusion map.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, part 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bench.deployment import Answer, Item
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.deployment import Floats
    from bench.use.checkpoint import Loaded

STRETCHES, PATCHES = 40, 12
"""How many places a signal, and a side of an image, are hidden at, one after the other."""
WIDTH = 2
"""How many places are hidden at once, which makes neighbours alike."""
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Explained:
    """An item with its answer, and how much of a score each place carries."""

    item: Item
    answer: Answer
    label: str
    """Whose score it is."""
    importance: Floats
    """By how much the score falls where a place is hidden: of signals ``(K, places)``, of images
    ``(K, places down, places across)``, for each row of the item."""
    steps: int | None
    """How long a row is that the model sees, in time; None of an image."""


def explained(loaded: Loaded, item: Item) -> Explained:
    """Return the answer to an item, and the importance of its places for the label decided for.

    Where no label is, for that of the highest score. Hidden is what is replaced by the row's mean
    over time, or over the image. Raises `BenchError` for an item of one number.
    """
    if item.rows.dim() == 1:
        raise BenchError("an item is a single number, of which no part can be hidden")
    answer, time = loaded.use.answer(_asked(loaded, item.rows)), along_time(item)
    label = (answer.labels or (max(answer.scores, key=lambda name: answer.scores[name]),))[0]
    rows = []
    for number in range(len(item.rows)):
        hidden = _hidden(item.rows[number], time)
        outputs = _asked(loaded, hidden.reshape(-1, *item.rows.shape[1:]))
        scores = [loaded.use.answer(one[None]).scores[label] for one in outputs]
        own = loaded.use.answer(_asked(loaded, item.rows[number : number + 1])).scores[label]
        falls = own - np.array(scores, np.float32)
        rows.append(falls.reshape(hidden.shape[: hidden.dim() - item.rows.dim() + 1]))
    steps = None if time is None else item.rows.shape[1 + time]
    return Explained(item, answer, label, np.stack(rows), steps)


def along_time(item: Item) -> int | None:
    """Return which dimension of a row is time: as long as the picture, or the longest.

    None where a row is an image.
    """
    if item.rows.dim() == 4:
        return None
    sizes = list(item.rows.shape[1:])
    length = item.picture.values.shape[-1]
    return sizes.index(length if length in sizes else max(sizes))


def _hidden(row: Tensor, time: int | None) -> Tensor:
    """Return a row with each place hidden: ``(places, ...)``, or ``(down, across, ...)``."""
    if time is not None:
        mean = _usual(row, time)
        made = [_without(row, mean, [(time, part)]) for part in _parts(row.shape[time], STRETCHES)]
        return torch.stack(made)
    mean = _usual(row.flatten(1), 1)[..., None]
    down, across = (_parts(size, PATCHES) for size in row.shape[1:])
    grid = [[_without(row, mean, [(1, one), (2, other)]) for other in across] for one in down]
    return torch.stack([torch.stack(line) for line in grid])


def _usual(row: Tensor, dim: int) -> Tensor:
    """Return the mean along a dimension; of whole numbers, which may be names, one of them."""
    if row.is_floating_point():
        return row.nanmean(dim, keepdim=True)
    return row.long().median(dim, keepdim=True).values.to(row.dtype)


def _parts(size: int, most: int) -> list[slice]:
    count = min(most, size)
    edges = [round(size * place / count) for place in range(count + 1)]
    return [
        slice(edges[max(0, k - WIDTH // 2)], edges[min(count, k + 1 + WIDTH // 2)])
        for k in range(count)
    ]


def _without(row: Tensor, mean: Tensor, hidden: list[tuple[int, slice]]) -> Tensor:
    made = row.clone()
    place = [slice(None)] * row.dim()
    for dim, part in hidden:
        place[dim] = part
    made[tuple(place)] = mean.expand_as(row)[tuple(place)]
    return made


@torch.inference_mode()
def _asked(loaded: Loaded, rows: Tensor) -> Tensor:
    parts = torch.split(rows, AT_ONCE)
    return torch.cat([loaded.model(part.to(loaded.device)).cpu() for part in parts])
