"""A task's images as tensors of bytes, with their classes, in parts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.xray import decoded, sources, synthetic
from baselines.xray.augmentation import rescaled
from baselines.xray.decoded import Decoded, Facts
from baselines.xray.settings import XraySettings
from baselines.xray.sources import SYNTHETIC, TEST, TRAIN, VALIDATION, Task
from bench.errors import BenchError
from bench.job import DataCard

AT_ONCE = 64
"""Images that are evaluated together."""


@dataclass(frozen=True)
class Part:
    """Images ``(N, 1 or 3, S, S)`` as bytes and classes ``(N,)``."""

    images: Tensor
    classes: Tensor
    sha256: str
    """Of the images."""

    def __len__(self) -> int:
        return len(self.classes)

    def to(self, device: torch.device) -> Part:
        """Return the part on a device."""
        return Part(self.images.to(device), self.classes.to(device), self.sha256)

    def inputs(self) -> Iterator[Tensor]:
        """Yield what the network sees of all images, some at a time, in their order."""
        return map(rescaled, torch.split(self.images, AT_ONCE))


@dataclass(frozen=True)
class TaskData:
    """What is to be told apart, and from what."""

    name: str
    classes: tuple[str, ...]
    train: Part
    validation: Part | None
    test: Part
    notes: tuple[str, ...] = ()
    bits: int = 0
    """Of images of 16 bits those that are used; 0: there were none."""

    @property
    def outputs(self) -> int:
        """How many logits there are: one for two classes."""
        return 1 if len(self.classes) == 2 else len(self.classes)


def load(settings: XraySettings, device: torch.device) -> tuple[list[TaskData], DataCard]:
    """Read the tasks that the settings name; raise `BenchError` for unusable ones."""
    names, skipped = sources.resolve(settings.dataset, settings.data_dir)
    made = [_task(name, settings, device) for name in names]
    for task in made:
        if settings.batch_size > len(task.train):
            raise BenchError(
                f"batch_size={settings.batch_size} is larger than the training part of"
                f" {task.name} ({len(task.train)} images); choose a smaller one"
            )
    return made, _card(made, skipped)


def _card(tasks: list[TaskData], skipped: tuple[str, ...]) -> DataCard:
    digest = hashlib.sha256()
    for task in tasks:
        for part in (task.train, task.validation, task.test):
            content = f"{part.sha256}{task.classes}{part.classes.tolist()}" if part else "none"
            digest.update(content.encode())
    return DataCard(
        ",".join(task.name for task in tasks),
        digest.hexdigest(),
        sum(len(task.train) for task in tasks),
        sum(len(task.test) for task in tasks),
        (*skipped, *(note for task in tasks for note in task.notes)),
    )


def _task(name: str, settings: XraySettings, device: torch.device) -> TaskData:
    if name == SYNTHETIC:
        return _synthetic(settings, device)
    listed = sources.task(name, settings.data_dir)
    lazy = settings.loading == "lazy"
    made = decoded.of_task(listed, settings.image_size, settings.colour, lazy, settings.skip_bad)
    parts = {part: _part(listed, part, made[part]) for part in listed.parts}
    if not lazy:  # images that are read lazily stay where they are, whatever the device
        parts = {part: of.to(device) for part, of in parts.items()}
    notes = tuple(_notes(listed, [of.facts for of in made.values()]))
    return TaskData(
        listed.name, listed.classes, parts[TRAIN], parts.get(VALIDATION), parts[TEST], notes,
        made[TRAIN].facts.bits,
    )  # fmt: skip


def _part(task: Task, name: str, found: Decoded) -> Part:
    """Return a part of images that could be read; raise `BenchError` where a class has none."""
    listing = task.parts[name]
    labels = [listing.labels[row] for row in found.facts.rows]
    for number, label in enumerate(task.classes):
        if number not in labels:
            raise BenchError(f"{listing.folder / label} has no image left, {len(found.facts.bad)}"
                             f" of the part are bad; the first: {found.facts.bad[0]}")  # fmt: skip
    return Part(torch.from_numpy(found.images), torch.tensor(labels), found.facts.sha256)


def _notes(task: Task, facts: list[Facts]) -> Iterator[str]:
    ignored = [file for listing in task.parts.values() for file in listing.ignored]
    if ignored:
        yield (f"{task.name}: {len(ignored)} files that are no images by their names were left out,"
               f" the first {ignored[0].name}")  # fmt: skip
    bad = [reason for part in facts for reason in part.bad]
    if bad:
        yield f"{task.name}: {len(bad)} bad images were skipped; the first: {bad[0]}"
    told = sum((Counter(part.told) for part in facts), Counter[str]())
    for what, count in sorted(told.items()):
        yield f"{task.name}: {count} images are {what}"
    if VALIDATION not in task.parts:
        yield f"{task.name}: there is no folder {VALIDATION}: nothing is held out to validate on"


def _synthetic(settings: XraySettings, device: torch.device) -> TaskData:
    def part(name: str) -> Part:
        images, labels = synthetic.make(
            name, settings.synthetic_images, settings.synthetic_classes, settings.image_size,
            3 if settings.colour else 1,
        )  # fmt: skip
        found = Part(torch.from_numpy(images), torch.from_numpy(labels), decoded.sha256(images))
        return found.to(device)

    classes = tuple(f"class{number}" for number in range(settings.synthetic_classes))
    note = "the images are synthetic: metrics say nothing about real ones"
    return TaskData(SYNTHETIC, classes, part(TRAIN), part(VALIDATION), part(TEST), (note,))
