"""What stands in a written script for what a user's file imports of bench: read as text.

Each is the least that a training needs of the name that it stands for; what only measuring needs
(hashes, targets, scores of items) is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch.utils._pytree import tree_map, tree_map_only
from torch.utils.data import BatchSampler, DataLoader


class Settings(BaseModel):
    """The numbers of a training."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    threads: int | None = None
    loader: str | None = None


class Job(SimpleNamespace):
    """The parts of a training, by name."""


@dataclass
class Progress:
    """How far the training is."""

    total_epochs: int
    epoch: int = 0
    step: int = 0
    epoch_losses: list[float] = field(default_factory=list)
    epoch_steps: int | None = None

    @property
    def total_steps(self) -> int:
        """Return the updates of the whole training."""
        return self.total_epochs * (self.epoch_steps or 0)


class Left(SimpleNamespace):
    """What only measuring needs: made, and never looked at."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(**named)

    @classmethod
    def of(cls, *args: Any, **named: Any) -> Any:
        """Return one."""
        return cls(*args, **named)


def ItemMean(scores: Any, order: Any = None, value: float | None = None) -> float:  # noqa: N802
    """Return the mean of what each item scored."""
    if hasattr(scores, "detach"):
        scores = scores.detach().double().cpu()
    return float(np.asarray(scores, np.float64).mean() if value is None else value)


@dataclass(frozen=True)
class FixedItems:
    """Training items that are the same in every epoch, drawn by their rows."""

    count: int
    rows: Callable[[Any], Iterable[Any]]
    take: Callable[[Any], Any]
    place: Callable[[Any], Any] = lambda batch: batch
    labels: Any = None

    def batches(self, progress: Any) -> Iterable[Any]:
        """Yield one epoch's batches."""
        return (self.place(self.take(rows)) for rows in self.rows(progress))


def shuffled(
    count: int, size: int, seed: int, device: Any = "cpu"
) -> Callable[[Any], Iterator[Any]]:
    """Return a draw of all rows, shuffled anew in each epoch; a last smaller batch is dropped."""
    random = torch.Generator().manual_seed(seed)

    def rows(progress: Any) -> Iterator[Any]:
        order = torch.randperm(count, generator=random).to(device)
        yield from torch.split(order[: count - count % size], size)

    return rows


def placing(device: torch.device) -> Callable[[Any], Any]:
    """Return what moves a batch's tensors to a device."""
    return lambda batch: tree_map_only(
        torch.Tensor, lambda tensor: tensor.to(device, non_blocking=True), batch
    )


def again(loader: Any, random: torch.Generator, size: int | None = None) -> Any:
    """Return a loader like another, that draws from `random` alone, in batches of `size`."""
    if not isinstance(loader, DataLoader):
        return loader
    sampler = copy.copy(loader.sampler)
    if hasattr(sampler, "generator"):
        sampler.generator = random
    drawn = BatchSampler(sampler, size or loader.batch_size or 1, loader.drop_last)
    return DataLoader(
        loader.dataset, batch_sampler=drawn, generator=random, num_workers=loader.num_workers,
        collate_fn=loader.collate_fn, pin_memory=loader.pin_memory, timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn, prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
        multiprocessing_context=loader.multiprocessing_context,
    )  # fmt: skip


class FromLoaders:
    """A training made of a model and its loaders."""

    settings = SimpleNamespace

    def __init__(self, **given: Any) -> None:
        self.given = SimpleNamespace(**{"held_out": None, "label": None, **given})

    def job(self, settings: Any, device: torch.device, seed: int) -> Any:
        """Return the parts of a training."""
        own, place = self.given, placing(device)
        made = copy.deepcopy(own.model) if isinstance(own.model, torch.nn.Module) else own.model()
        fixed, size = torch.Generator().manual_seed(0), getattr(settings, "batch_size", None)
        train = again(own.train, torch.Generator().manual_seed(seed), size)
        test = again(own.test, fixed)
        parts = {
            "model": made.to(device), "epochs": settings.epochs, "epoch_steps": len(train),
            "batches": lambda progress: map(place, train),
            "make_optimizer": lambda model: own.optimizer(model.parameters()),
            "loss": lambda model, batch: own.loss(*self.answer(model, batch)),
            "evaluate": lambda model: self.evaluate(model, map(place, test)),
            "validate": lambda model: self.validate(model, map(place, again(own.held_out, fixed))),
        }  # fmt: skip
        return Job(**{**parts, **own.parts})

    def answer(self, model: Any, batch: Any) -> tuple[Any, Any]:
        """Return what a model says to a batch's inputs, and the batch's targets."""
        label = self.given.label
        if isinstance(batch, Mapping):
            label = label or ("labels" if "labels" in batch else list(batch)[-1])
            return model(**{k: v for k, v in batch.items() if k != label}), batch[label]
        if isinstance(batch, torch.Tensor):
            return model(batch), batch
        place = range(len(batch))[-1 if label is None else label]
        return model(*(part for at, part in enumerate(batch) if at != place)), batch[place]

    @torch.no_grad()
    def evaluate(self, model: Any, test: Iterable[Any]) -> dict[str, float]:
        """Return the metrics of the whole test part."""
        model.eval()
        first, *others = [self.answer(model, batch) for batch in test]
        if others:
            first = tree_map(
                lambda *parts: torch.cat(parts) if parts[0].dim() else torch.stack(parts),
                first, *others,
            )  # fmt: skip
        found = {name: metric(*first) for name, metric in self.given.metrics.items()}
        return {
            name: float(value.double().mean() if isinstance(value, torch.Tensor) else value)
            for name, value in found.items()
        }

    @torch.no_grad()
    def validate(self, model: Any, held_out: Iterable[Any]) -> float:
        """Return the mean loss of the items held out."""
        model.eval()
        losses = []
        for batch in held_out:
            answer, targets = self.answer(model, batch)
            losses.append((size_of(batch), float(self.given.loss(answer, targets))))
        return sum(n * loss for n, loss in losses) / sum(n for n, _ in losses)


def size_of(batch: Any) -> int:
    """Return how many items a batch holds: the length of its first tensor."""
    while not isinstance(batch, torch.Tensor):
        batch = next(iter(batch.values() if isinstance(batch, dict) else batch))
    return len(batch)


def from_loaders(model: Any, train: Any, test: Any, **given: Any) -> FromLoaders:
    """Return a training made of a model and its loaders."""
    known = ("loss", "optimizer", "metrics", "held_out", "label")
    measured = ("target", "epochs", "name", "unit")
    parts = {k: v for k, v in given.items() if k not in (*known, *measured)}
    own = {k: given[k] for k in known if k in given}
    return FromLoaders(model=model, train=train, test=test, parts=parts, **own)


STAND_INS: Mapping[tuple[str, str], tuple[object, ...]] = {
    ("bench", "from_loaders"): (
        Job, placing, again, size_of, FromLoaders, from_loaders
    ),
    ("bench.baseline", "Settings"): (Settings,),
    ("bench.baseline", "Target"): (Left,),
    ("bench.data.sampling", "placing"): (placing,),
    ("bench.data.sampling", "shuffled"): (shuffled,),
    ("bench.job", "DataCard"): (Left,),
    ("bench.job", "FixedItems"): (FixedItems,),
    ("bench.job", "Job"): (Job,),
    ("bench.job", "Progress"): (Progress,),
    ("bench.metrics", "ItemMean"): (ItemMean,),
    ("bench.targets", "Targets"): (Left,),
}  # fmt: skip
"""By module and name: what is written, in this order, before the user's file."""
