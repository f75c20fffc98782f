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


def explained(loaded: Loaded, item: Item) -> Explained:
    """Return the answer to an item, and the importance of its places for the label decided for.

    Where no label is, for that of the highest score. Hidden is what is replaced by the row's mean
    over time, or over the image.
    """
    answer = loaded.use.answer(_asked(loaded, item.rows))
    label = (answer.labels or (max(answer.scores, key=lambda name: answer.scores[name]),))[0]
    rows = []
    for number in range(len(item.rows)):
        hidden = _hidden(item.rows[number], along_time(item))
        outputs = _asked(loaded, hidden.reshape(-1, *item.rows.shape[1:]))
        scores = [loaded.use.answer(one[None]).scores[label] for one in outputs]
        own = loaded.use.answer(_asked(loaded, item.rows[number : number + 1])).scores[label]
        falls = own - np.array(scores, np.float32)
        rows.append(falls.reshape(hidden.shape[: hidden.dim() - item.rows.dim() + 1]))
    return Explained(item, answer, label, np.stack(rows))


def along_time(item: Item) -> int | None:
    """Return which dimension of a row is time; None where a row is an image."""
    if item.rows.dim() == 4:
        return None
    return int(np.argmax(item.rows.shape[1:]))


def _hidden(row: Tensor, time: int | None) -> Tensor:
    """Return a row with each place hidden: ``(places, ...)``, or ``(down, across, ...)``."""
    if time is not None:
        mean = row.nanmean(time, keepdim=True)
        made = [_without(row, mean, [(time, part)]) for part in _parts(row.shape[time], STRETCHES)]
        return torch.stack(made)
    mean = row.mean((1, 2), keepdim=True)
    down, across = (_parts(size, PATCHES) for size in row.shape[1:])
    grid = [[_without(row, mean, [(1, one), (2, other)]) for other in across] for one in down]
    return torch.stack([torch.stack(line) for line in grid])


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
