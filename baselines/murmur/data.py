"""Stretches of spectrograms as items, and the patients that they belong to, in three parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.murmur.circor import MURMUR, OUTCOME
from baselines.murmur.folds import deal, parts
from baselines.murmur.settings import MurmurSettings
from baselines.murmur.sources import SYNTHETIC, spectrograms
from baselines.murmur.stored import Spectrograms
from bench.errors import BenchError
from bench.job import DataCard

HEADS = (len(MURMUR), len(OUTCOME))


@dataclass(frozen=True)
class Part:
    """Some patients and their stretches."""

    images: Tensor
    """``(N, 1, mels, frames)``, 16-bit floats."""
    targets: Tensor
    """``(N, 5)``: 1 for the murmur's class and for the outcome's, else 0."""
    patients: Tensor
    """Of each stretch the patient's place in this part ``(N,)``."""
    murmur: NDArray[np.int64]
    """Of each patient ``(P,)``."""
    outcome: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def by_patient(self, values: Tensor) -> Tensor:
        """Return the mean of the stretches' values ``(N, K)`` for each patient ``(P, K)``."""
        sums = torch.zeros(len(self.names), values.shape[1], dtype=values.dtype)
        sums.index_add_(0, self.patients, values)
        return sums / torch.bincount(self.patients, minlength=len(self.names))[:, None]


@dataclass(frozen=True)
class Data:
    """The three parts, and the card of all."""

    train: Part
    validation: Part
    test: Part
    card: DataCard


def load(settings: MurmurSettings) -> Data:
    """Cut the stretches of the settings' fold; raise `BenchError` for unusable patients."""
    found, _ = spectrograms(settings)
    labels = list(zip(found.murmur.tolist(), found.outcome.tolist(), strict=True))
    folds = deal(found.people, labels, settings.folds)
    rows = parts(folds, settings.folds, settings.fold)
    frames = frames_of(settings)
    made = {name: _part(found, of, frames, settings.stretches) for name, of in rows.items()}
    _check(made, settings, found.name)
    notes = (*_news(found), _division(made, settings))
    card = DataCard(found.name, found.sha256, len(made["train"]), len(made["test"]), notes)
    return Data(**made, card=card)


def frames_of(settings: MurmurSettings) -> int:
    """Return how many frames a stretch has."""
    return max(1, round(1000 * settings.seconds / settings.hop_ms))


def stretches(length: int, frames: int, most: int) -> list[int]:
    """Return where stretches of a recording begin: as many as fit side by side, evenly spread."""
    count = min(most, max(1, length // frames))
    room = max(0, length - frames)
    return [0] if count == 1 else [round(room * k / (count - 1)) for k in range(count)]


def _part(found: Spectrograms, rows: NDArray[np.int64], frames: int, most: int) -> Part:
    cut = list(_cut(found, rows, frames, most))
    patients = torch.tensor([place for place, _ in cut])
    images = np.stack([image for _, image in cut]) if cut else np.zeros((0, 1, 1), np.float16)
    table = np.zeros((len(rows), sum(HEADS)), np.float32)
    table[np.arange(len(rows)), found.murmur[rows]] = 1
    table[np.arange(len(rows)), HEADS[0] + found.outcome[rows]] = 1
    return Part(
        images=torch.from_numpy(images)[:, None],
        targets=torch.from_numpy(table)[patients],
        patients=patients,
        murmur=found.murmur[rows],
        outcome=found.outcome[rows],
        names=tuple(found.names[row] for row in rows),
    )


def _cut(
    found: Spectrograms, rows: NDArray[np.int64], frames: int, most: int
) -> Iterator[tuple[int, NDArray[np.float16]]]:
    """Yield the patient's place and the picture ``(mels, frames)`` of each stretch.

    A recording that is shorter than a stretch is repeated.
    """
    for place, row in enumerate(rows):
        for recording in np.flatnonzero(found.owners == row):
            for image in stretches_of(found.of(int(recording)), frames, most):
                yield place, image


def stretches_of(
    whole: NDArray[np.float16], frames: int, most: int
) -> Iterator[NDArray[np.float16]]:
    """Yield the pictures ``(mels, frames)`` of one recording's stretches."""
    for start in stretches(len(whole), frames, most):
        yield np.take(whole, range(start, start + frames), 0, mode="wrap").T


def _check(made: dict[str, Part], settings: MurmurSettings, name: str) -> None:
    if settings.batch_size > len(made["train"]):
        raise BenchError(
            f"batch_size={settings.batch_size} is larger than the training part of {name}"
            f" ({len(made['train'])} stretches); choose a smaller one"
        )
    for part, of in made.items():
        if len({*of.murmur.tolist()}) < 2 or len({*of.outcome.tolist()}) < 2:
            raise BenchError(
                f"{name}: the {part} part ({len(of.names)} patients) has murmurs or outcomes of"
                f" one kind only; folds={settings.folds} needs more patients"
            )


def _news(found: Spectrograms) -> tuple[str, ...]:
    """Tell what a reader of the report must know of the recordings."""
    notes = []
    if found.name == SYNTHETIC:
        notes.append("the heart sounds are synthetic: metrics say nothing about real ones")
    if found.skipped:
        notes.append(f"{len(found.skipped)} bad files were skipped; the first: {found.skipped[0]}")
    if twice := len(found.people) - len({*found.people}):
        notes.append(f"{twice} took part twice: both of a person are in one fold")
    return tuple(notes)


def _division(made: dict[str, Part], settings: MurmurSettings) -> str:
    counts = ", ".join(f"{name} {len(part.names)}" for name, part in made.items())
    return f"fold {settings.fold} of {settings.folds}, patients: {counts}"
