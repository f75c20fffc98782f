"""Records as training items: which labels count, which part each record is in, how it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.ecg_cnn.labels import ALL, is_snomed
from baselines.ecg_cnn.pack import Pack
from baselines.ecg_cnn.settings import ECGCNNSettings
from baselines.ecg_cnn.sources import SYNTHETIC, packed
from bench.errors import BenchError
from bench.job import DataCard

DEAL = tuple({"t": "train", "v": "validation", "T": "test"}[c] for c in "ttTttvtttTttvtttTtvt")
"""To which parts records with the same rarest label go, round and round: 14, 3 and 3 of 20."""
Read = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Part:
    """Some of the records: how to read them, and their labels ``(N, classes)``."""

    read: Read
    """From row numbers ``(B,)`` within the part to signals ``(B, 12, length)`` in mV."""
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Data:
    """The three parts, the labels by name, which of them are rare, and the card of all."""

    train: Part
    validation: Part
    test: Part
    classes: tuple[str, ...]
    rare: NDArray[np.bool_]
    """The quarter of the classes with the fewest training records, at least one."""
    card: DataCard


def load(settings: ECGCNNSettings) -> Data:
    """Open the records that the settings name; raise `BenchError` for unusable ones."""
    pack, _ = packed(settings)
    classes, notes = choose_classes(pack.labels, settings.labels)
    table = np.array([[name in own for name in classes] for own in pack.labels], np.float32)
    where = parts_of(pack.parts, table)
    parts = {
        name: _part(pack, np.flatnonzero(where == name), table, settings)
        for name in ("train", "validation", "test")
    }
    _check(parts["train"], parts["test"], settings, pack.name)
    counts = parts["train"].labels.sum(0).numpy()
    rare = np.zeros(len(classes), bool)
    rare[np.argsort(counts, kind="stable")[: max(1, len(classes) // 4)]] = True
    names = ", ".join(name for name, is_rare in zip(classes, rare, strict=True) if is_rare)
    notes = (*_news(pack, table), *notes, f"counted as rare: {names}")
    card = DataCard(pack.name, pack.sha256, len(parts["train"]), len(parts["test"]), notes)
    return Data(parts["train"], parts["validation"], parts["test"], classes, rare, card)


def choose_classes(
    labels: list[tuple[str, ...]], most: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the most frequent scored labels, and notes on those that are left out or missing."""
    counts = Counter(name for own in labels for name in own if not is_snomed(name))
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    chosen, beyond = tuple(ranked[:most]), ranked[most:]
    if len(chosen) < 2:
        raise BenchError(f"the records have {len(chosen)} scored labels; at least 2 are needed")
    notes = [f"{len(chosen)} labels: {', '.join(chosen)}"]
    if beyond:
        notes.append(f"scored, but left out as less frequent: {', '.join(beyond)}")
    missing = [name for name in ALL if name not in counts] if set(counts) <= set(ALL) else []
    if missing:
        notes.append(f"scored, but no record has it: {', '.join(missing)}")
    return chosen, tuple(notes)


def parts_of(given: list[str], table: NDArray[np.float32]) -> NDArray[np.str_]:
    """Return each record's part: as the source says, or dealt out by its rarest label."""
    if {"train", "validation", "test"} <= set(given):
        return np.array(given)
    order = np.argsort(table.sum(0), kind="stable")  # the rarest label first
    has_one = table[:, order].any(1)
    rarest = np.where(has_one, table[:, order].argmax(1), len(order))
    parts = np.empty(len(table), dtype="U10")
    shuffled = np.random.default_rng(0).permutation(len(table))
    dealt = shuffled[np.argsort(rarest[shuffled], kind="stable")]
    parts[dealt] = [DEAL[place % len(DEAL)] for place in range(len(table))]
    return parts


def _part(
    pack: Pack, rows: NDArray[np.int64], table: NDArray[np.float32], settings: ECGCNNSettings
) -> Part:
    labels = torch.from_numpy(table[rows])
    if settings.loading == "eager":
        signals = torch.from_numpy(pack.read(rows.tolist(), settings.length))
        return Part(lambda chosen: signals[chosen], labels)
    return Part(
        lambda chosen: torch.from_numpy(pack.read(rows[chosen.numpy()].tolist(), settings.length)),
        labels,
    )


def _check(train: Part, test: Part, settings: ECGCNNSettings, name: str) -> None:
    if settings.batch_size > len(train):
        raise BenchError(
            f"batch_size={settings.batch_size} is larger than the training part of {name}"
            f" ({len(train)} records); choose a smaller one"
        )
    positives = test.labels.sum(0)
    if not ((positives > 0) & (positives < len(test))).any():
        raise BenchError(
            f"{name}: the test part ({len(test)} records) has no label that some have and others"
            " lack; more records are needed"
        )


def _news(pack: Pack, table: NDArray[np.float32]) -> tuple[str, ...]:
    """Tell what a reader of the report must know of the records."""
    notes = []
    if pack.name == SYNTHETIC:
        notes.append("the records are synthetic: metrics say nothing about real ECG")
    if pack.skipped:
        notes.append(f"{len(pack.skipped)} bad records were skipped; the first: {pack.skipped[0]}")
    if unlabelled := int((~table.any(1)).sum()):
        notes.append(f"{unlabelled} records have none of the labels, only others")
    return tuple(notes)
