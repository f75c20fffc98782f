"""What it takes to use a trained model on one's own items, as its baseline says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bench.errors import BenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a checkpoint keeps beside the weights: no item of the data is in it."""

    labels: tuple[str, ...] = ()
    """Of the scores, in their order."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of the preprocessing, as JSON: what items are scaled by, how large they are."""
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    """What was fitted to the trained model's outputs, such as a classifier on features."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An item as people look at it."""

    kind: Literal["signals", "image", "sound"]
    values: Floats
    """Signals ``(channels, T)``; an image ``(H, W)`` or ``(H, W, 3)`` of 0 to 1; sound ``(T,)``."""
    names: tuple[str, ...] = ()
    """Of the channels."""
    rate_hz: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One item to be answered."""

    name: str
    rows: Tensor
    """What the model is called with ``(K, ...)``: one row, or several parts of one item."""
    picture: Picture
    truth: tuple[str, ...] | None = None
    """The labels that hold, where they are known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of one item."""

    labels: tuple[str, ...]
    """Those that are decided for."""
    scores: Mapping[str, float]
    scores_are: str
    """What the scores are: probabilities, margins."""


class Use(Protocol):
    """How a baseline's trained model is used: what `Baseline.use(settings, deployment)` returns."""

    values: str
    """What an item is as nested lists of numbers, in a sentence."""
    files: str
    """What an item is as a file, in a sentence."""
    suffixes: tuple[str, ...]
    """Of the files that are read, in lower case."""

    def network(self) -> nn.Module:
        """Return the network that was trained, with any weights."""

    def whole(self, network: nn.Module) -> nn.Module:
        """Return what makes scores of items: the network, with what was fitted to it behind it."""

    def take(self, values: Floats) -> Item:
        """Return an item of plain values; raise `BenchError` for what is none."""

    def read(self, files: Sequence[Path]) -> list[Item]:
        """Return the items in files; raise `BenchError`, naming the file, for what is none."""

    def examples(self, count: int) -> list[Item]:
        """Return items of the test part, which has to be on this machine."""

    def answer(self, outputs: Tensor) -> Answer:
        """Return the answer to one item from the model's outputs for its rows ``(K, scores)``."""


LIKELY = 0.5
"""Of the probability from which a label is decided for that holds by itself."""


def likely(labels: Sequence[str], outputs: Tensor) -> Answer:
    """Return the labels of probability a half or more, the highest first.

    Each holds or not by itself; `outputs` are logits ``(K, labels)``, whose probabilities are
    averaged over an item's parts.
    """
    found = outputs.float().sigmoid().mean(0).tolist()
    scores = dict(zip(labels, found, strict=True))
    chosen = [name for name, score in scores.items() if score >= LIKELY]
    chosen.sort(key=lambda name: -scores[name])
    return Answer(tuple(chosen), scores, "probabilities, each by itself")


def with_suffix(files: Sequence[Path], suffixes: Sequence[str], what: str) -> list[Path]:
    """Return the files of these suffixes; raise `BenchError` where another one is given."""
    strange = [path.name for path in files if path.suffix.lower() not in suffixes]
    if strange or not files:
        raise BenchError(f"{strange[0] if strange else 'no file'} can't be read: give {what}")
    return list(files)


def spread(count: int, among: int) -> list[int]:
    """Return the places of at most `count` items, evenly spread among all."""
    count = min(count, among)
    return [place * among // count for place in range(count)]
