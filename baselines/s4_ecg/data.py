"""Records as arrays: signals ``(N, leads, 1000)``, labels ``(N, 5)``, in three parts by fold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.s4_ecg import ptbxl, sources, synthetic
from baselines.s4_ecg.settings import S4ECGSettings
from bench.errors import BenchError
from bench.job import DataCard

Floats = NDArray[np.float32]
CLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
PartName = Literal["train", "validation", "test"]
FOLDS = range(1, 11)
"""The folds of PTB-XL, by their numbers."""


@dataclass(frozen=True)
class Records:
    """Signals in millivolts, labels of 0 and 1, and the stratified fold 1-10 of each record."""

    name: str
    signals: Floats
    labels: Floats
    folds: NDArray[np.int64]
    origin: str
    """The file that a problem with the labels or folds is to be looked for in."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """Scaled signals ``(N, leads, L)`` and labels ``(N, classes)``."""

    signals: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Part:
        """Return the part on a device."""
        return Part(self.signals.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Data:
    """The three parts, scaled alike, and the card of all."""

    train: Part
    validation: Part
    test: Part
    card: DataCard
    mean: float
    deviation: float
    """What all parts were scaled by, in mV."""


def load(settings: S4ECGSettings) -> Data:
    """Read or make the records that the settings name; raise `BenchError` for unusable ones."""
    dataset = sources.resolve(settings.dataset, settings.data_dir)[0]
    leads = settings.leads.split(",")
    if dataset == sources.SYNTHETIC:
        signals, labels, folds = synthetic.make(settings.synthetic_records, leads)
        note = "the records are synthetic: metrics say nothing about real ECG"
        records = Records(dataset, signals, labels, folds, "the synthetic set", (note,))
    else:
        folder = sources.folder(dataset, settings.data_dir)
        records = _read(folder, leads, settings.skip_bad)
    return split(records, settings.fold)


def parts_of(fold: int) -> dict[PartName, list[int]]:
    """Return the folds of each part where `fold` is tested on."""
    before = FOLDS[fold - FOLDS[0] - 1]
    others = [other for other in FOLDS if other not in (before, fold)]
    return {"train": others, "validation": [before], "test": [fold]}


def split(records: Records, fold: int) -> Data:
    """Part the records by fold and scale them by the training part's mean and deviation."""
    folds = parts_of(fold)
    rows = {name: np.isin(records.folds, own) for name, own in folds.items()}
    for name, chosen in rows.items():
        _check(records, name, folds[name], records.labels[chosen])
    mean = float(records.signals[rows["train"]].mean(dtype=np.float64))
    deviation = float(records.signals[rows["train"]].std(dtype=np.float64)) or 1.0
    scaled = (records.signals - np.float32(mean)) / np.float32(deviation)
    parts = {
        name: Part(torch.from_numpy(scaled[chosen]), torch.from_numpy(records.labels[chosen]))
        for name, chosen in rows.items()
    }
    content = (records.signals, records.labels, records.folds)
    tensors = map(torch.from_numpy, content)
    card = DataCard.of(records.name, tensors, len(parts["train"]), len(parts["test"]))
    held_out, tested = folds["validation"][0], folds["test"][0]
    held = (
        f"{len(parts['validation'])} records of fold {held_out} choose the weights that are"
        f" deployed, fold {tested} tests them"
    )
    notes = (*records.notes, held, *_missing(parts["test"].labels.numpy()))
    card = DataCard(card.name, card.sha256, card.train_items, card.test_items, notes)
    return Data(parts["train"], parts["validation"], parts["test"], card, mean, deviation)


def _check(records: Records, name: PartName, folds: list[int], labels: Floats) -> None:
    """Refuse a part that can't serve: without records, or without what has to be told apart."""
    numbers = ", ".join(map(str, folds))
    which = f"folds {numbers}" if len(folds) > 1 else f"fold {numbers}"
    advice = "get the whole of PTB-XL again, with its own strat_fold"
    positives = labels.sum(0)
    if len(labels) == 0 or not positives.any():
        raise BenchError(f"{records.origin}: no record of {which} ({name}) has a class; {advice}")
    absent = [label for label, count in zip(CLASSES, positives, strict=True) if count == 0]
    if name == "train" and absent:
        what = ", ".join(absent)
        raise BenchError(f"{records.origin}: no record of {which} (train) is {what}; {advice}")
    if name == "test" and not _told_apart(labels).any():
        raise BenchError(
            f"{records.origin}: {which} (test) has no class that some records have and others"
            f" lack; {advice}"
        )


def _told_apart(labels: Floats) -> NDArray[np.bool_]:
    """Return which classes have both positives and negatives."""
    positives = labels.sum(0)
    mixed: NDArray[np.bool_] = (positives > 0) & (positives < len(labels))
    return mixed


def _missing(labels: Floats) -> tuple[str, ...]:
    absent = [name for name, there in zip(CLASSES, _told_apart(labels), strict=True) if not there]
    return (f"not in the test part, so left out of the metric: {', '.join(absent)}",) * bool(absent)


def _read(folder: Path, leads: list[str], skip_bad: bool) -> Records:
    table = ptbxl.table(folder, CLASSES)
    if skip_bad:
        signals, kept, bad = ptbxl.readable(folder, table.files, leads)
    else:
        signals = ptbxl.signals(folder, table.files, leads)
        kept, bad = np.arange(len(signals)), ()
    notes = (f"{table.dropped} records without a superclass were dropped",) * (table.dropped > 0)
    if bad:
        notes += (f"{len(bad)} bad records were skipped; the first: {bad[0]}",)
    origin = str(folder / sources.DATABASE)
    return Records(sources.PTBXL, signals, table.labels[kept], table.folds[kept], origin, notes)
