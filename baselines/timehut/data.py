"""Reading UCR/UEA files into arrays ``(N, T, C)``, normalised as TS2Vec does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baselines.timehut import ts
from baselines.timehut.sources import Source
from bench.errors import BenchError
from bench.job import DataCard

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of each channel ``(C,)``."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def of(self, series: Floats) -> Floats:
        """Return series scaled."""
        return ((series - self.mean) / self.deviation).astype(np.float32)


@dataclass(frozen=True)
class Part:
    """Series ``(N, T, C)`` with NaN where nothing was measured, and class numbers ``(N,)``."""

    series: Floats
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> Part:
        """Return the given rows."""
        return Part(self.series[rows], self.labels[rows])


@dataclass(frozen=True)
class Data:
    """One data set: what trains, what is held out of training (or None), what tests."""

    train: Part
    test: Part
    card: DataCard
    held_out: Part | None = None
    classes: tuple[str, ...] = ()
    """In the order of their numbers."""
    scale: Scale | None = None
    """What both parts were scaled by; None: they came scaled."""


def load(source: Source) -> Data:
    """Read both halves; raise `BenchError`, naming the file, for what can't be used."""
    train, train_labels = _read(source.file("TRAIN"))
    test, test_labels = _read(source.file("TEST"))
    if train.shape[2] != test.shape[2]:
        raise BenchError(
            f"{source.file('TEST')} has {test.shape[2]} channels but the training half has"
            f" {train.shape[2]}; get the set again"
        )
    card = _card(source.name, (train, train_labels, test, test_labels))
    classes, train_codes = np.unique(train_labels, return_inverse=True)
    if len(classes) < 2:
        raise BenchError(f"{source.file('TRAIN')} has one class, {classes[0]}; two are needed")
    known = np.isin(test_labels, classes)
    if not known.all():
        strange = sorted(set(test_labels[~known].tolist()))
        raise BenchError(f"{source.file('TEST')} has classes without training series: {strange}")
    test_codes = np.searchsorted(classes, test_labels)
    scale = scale_of(train)
    train, test = normalise(train, test)
    return Data(
        Part(train, train_codes), Part(test, test_codes), card,
        classes=tuple(classes.tolist()), scale=scale,
    )  # fmt: skip


def hold_out(data: Data, fraction: float, seed: int) -> Data:
    """Move `fraction` of the training part (at least one series) to the held-out part.

    Stratified: the classes take turns, so that each gives about the same share.
    """
    if fraction == 0:
        return data
    count = max(1, round(fraction * len(data.train)))
    if count >= len(data.train):
        raise BenchError(
            f"validation_fraction={fraction} holds all {len(data.train)} training series out;"
            " choose a smaller one"
        )
    order = _stratified_order(data.train.labels, np.random.default_rng(seed))
    out, kept = np.sort(order[:count]), np.sort(order[count:])
    note = f"{count} of {len(data.train)} training series held out for validation"
    card = replace(data.card, train_items=len(kept), notes=(*data.card.notes, note))
    return replace(data, train=data.train.take(kept), card=card, held_out=data.train.take(out))


def normalise(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Scale both parts by the training part's mean and deviation of each channel.

    One-channel sets whose series are already scaled one by one (most of UCR) stay as they are.
    """
    scale = scale_of(train)
    return (scale.of(train), scale.of(test)) if scale else (train, test)


def scale_of(train: Floats) -> Scale | None:
    """Return what `normalise` scales by; None where it leaves all as it is."""
    if train.shape[2] == 1 and _already_normalised(train):
        return None
    mean = np.asarray(np.nanmean(train, axis=(0, 1), dtype=np.float64))
    deviation = np.asarray(np.nanstd(train, axis=(0, 1), dtype=np.float64))
    deviation[~(deviation > 0)] = 1.0  # a constant channel, or one without any value
    return Scale(mean, deviation)


def _already_normalised(series: Floats) -> bool:
    means = np.nanmean(series, axis=1, dtype=np.float64)
    deviations = np.nanstd(series, axis=1, dtype=np.float64)
    scaled = (np.abs(means) < 0.01) & (np.abs(deviations - 1) < 0.1)
    return bool(scaled.mean() > 0.95)  # a few flat series have no deviation to scale by


def _stratified_order(labels: Labels, random: np.random.Generator) -> NDArray[np.int64]:
    """Return a random order in which every prefix has the classes in about their shares."""
    position = np.empty(len(labels))
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        position[rows] = (np.arange(len(rows)) + random.uniform(0.25, 0.75)) / len(rows)
    return np.argsort(position, kind="stable")


def _read(file: Path) -> tuple[Floats, NDArray[np.str_]]:
    """Return the series ``(N, T, C)`` and label strings ``(N,)`` of one file."""
    content = ts.read(file)
    return _padded(content.series, file), np.array(content.labels)


def _padded(cases: Sequence[NDArray[np.float64]], file: Path) -> Floats:
    """Stack series ``(C, T)`` of several lengths, NaN at their ends, as ``(N, T, C)``."""
    length = max(case.shape[1] for case in cases)
    series = np.full((len(cases), length, cases[0].shape[0]), np.nan, dtype=np.float32)
    for row, case in zip(series, cases, strict=True):
        row[: case.shape[1]] = case.T
    if np.isinf(series).any():
        raise BenchError(f"{file} holds infinite values; get it again")
    if np.isnan(series).all(axis=(1, 2)).any():
        raise BenchError(f"{file} holds a series without any value; remove it")
    if length < 2:
        raise BenchError(f"{file} holds series of length {length}; two steps are needed")
    return series


def _card(name: str, contents: Sequence[NDArray[np.float32] | NDArray[np.str_]]) -> DataCard:
    digest = hashlib.sha256()
    notes = []
    for content in contents:
        digest.update(str(content.shape).encode())
        digest.update(
            "\n".join(content).encode() if content.dtype.kind == "U" else content.tobytes()
        )
    gaps = sum(int(np.isnan(part).sum()) for part in (contents[0], contents[2]))
    if gaps:
        notes.append(f"{gaps} values are missing (or pad shorter series) and are masked")
    return DataCard(name, digest.hexdigest(), len(contents[0]), len(contents[2]), tuple(notes))
