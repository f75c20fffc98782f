"""A baseline from a model and two loaders: what a training script has anyway, and nothing else."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import numpy as np
import torch
from pydantic import BaseModel, Field, create_model
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from bench.baseline import Settings, Target
from bench.batches import Batch, Inputs, Outputs, each_tensor, first_size, inputs_of, select_items
from bench.data.reloading import card_of, epoch_items, length, reloaded
from bench.data.sampling import placing
from bench.errors import BenchError
from bench.job import Job, Progress
from bench.metrics import ItemMean

LABEL = "labels"
Label = Any
"""The key of a batch's target, or its place."""
Scores = SupportsFloat | Sequence[float]
Metric = Callable[[Outputs, Batch], Scores]
"""Of a model's answer and the targets: a number, or one of each item ``(N,)``."""


def from_loaders(
    model: nn.Module | Callable[[], nn.Module],
    train: Iterable[Batch],
    test: Iterable[Batch],
    *,
    loss: Callable[[Outputs, Batch], Tensor],
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
    metrics: Mapping[str, Metric],
    target: Target | None = None,
    epochs: int = 10,
    held_out: Iterable[Batch] | None = None,
    label: str | int | None = None,
    name: str = "my-model",
    unit: str = "items",
    **parts: object,
) -> FromLoaders:
    """Return a baseline, to be measured as ``bench --baseline FILE.py:NAME``.

    `model` is a function that makes one, so that every seed begins with other weights; or a model,
    with whose weights every seed begins. `train`, `test` and, for early stopping, `held_out` are
    DataLoaders, or anything else that gives batches again and again: ``(input, ..., target)``, or
    mappings, whose inputs the model takes by name; `label` says where the target is, if it is
    neither called labels nor the last part. ``loss(outputs, targets)`` and each of `metrics`,
    which see the outputs of the whole test part at once, are functions of the model's answer. A
    metric that gives a number of each item is their mean, and fewer pairs of trials judge it.
    The first metric judges, unless `target` says otherwise. ``optimizer(parameters)`` makes one.
    `parts` are further parts of the `Job`: clip, make_scheduler, targets, items, ...
    """
    if not metrics:
        raise BenchError("from_loaders: metrics is empty; what is the model to be judged by?")
    first, size = next(iter(metrics)), _batch_size(train)
    fields: dict[str, Any] = {"epochs": (int, Field(epochs, ge=1))}
    if size is not None:
        fields["batch_size"] = (int, Field(size, ge=1))
    return FromLoaders(
        name, unit, target or Target(first), create_model("Settings", __base__=Settings, **fields),
        model, train, test, loss, optimizer, dict(metrics), held_out, label, parts,
    )  # fmt: skip


@dataclass(frozen=True)
class FromLoaders:
    """The baseline that `from_loaders` returns."""

    name: str
    unit: str
    target: Target
    settings: type[BaseModel]
    model: nn.Module | Callable[[], nn.Module]
    train: Iterable[Batch]
    test: Iterable[Batch]
    loss: Callable[[Outputs, Batch], Tensor]
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    metrics: Mapping[str, Metric]
    held_out: Iterable[Batch] | None
    label: str | int | None
    parts: Mapping[str, object] = field(default_factory=dict)

    def job(self, settings: Any, device: torch.device, seed: int) -> Job:
        """Build a fresh job: a fresh model, and loaders whose order follows from the seed."""
        made = copy.deepcopy(self.model) if isinstance(self.model, nn.Module) else self.model()
        random = torch.Generator().manual_seed(seed)
        train = reloaded(self.train, random, getattr(settings, "batch_size", None))
        test = reloaded(self.test, _fixed_order())
        held_out = None if self.held_out is None else reloaded(self.held_out, _fixed_order())
        place = placing(device)

        def batches(progress: Progress, random: torch.Generator = random) -> Iterator[Batch]:
            return map(place, train)  # `random`: so that a checkpoint keeps the loader's

        parts: dict[str, Any] = {
            "device": device, "model": made.to(device), "epochs": settings.epochs,
            "data": card_of(self.name, self.train, self.test, *self._beside()), "batches": batches,
            "make_optimizer": lambda model: self.optimizer(model.parameters()), "loss": self._loss,
            "evaluate": lambda model: self._evaluate(model, map(place, test)),
            "sample": self._sample(place(_first(test))),
            "validate": None if held_out is None else (
                lambda model: self._validate(model, map(place, held_out))
            ),
            "epoch_steps": length(train), "epoch_items": epoch_items(train),
        }  # fmt: skip
        return Job(**{**parts, **self.parts})

    def _beside(self) -> list[Iterable[Batch]]:
        """Return the loaders beside those that train and test."""
        return [] if self.held_out is None else [self.held_out]

    def _label_of(self, batch: Batch) -> Label:
        """Return the key or place of a batch's target."""
        if self.label is not None:
            return self.label
        if isinstance(batch, Mapping):
            return LABEL if LABEL in batch else list(batch)[-1]
        return len(batch) - 1

    def _answer(self, model: nn.Module, batch: Batch) -> tuple[Outputs, Batch]:
        """Return what a model says to a batch's inputs, and the batch's targets."""
        inputs, targets = _apart(batch, self._label_of(batch))
        by_name = isinstance(inputs, Mapping)
        return model(**inputs) if by_name else model(*inputs), targets

    def _loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.loss(*self._answer(model, batch))

    @torch.no_grad()
    def _evaluate(self, model: nn.Module, test: Iterable[Batch]) -> dict[str, float]:
        model.eval()
        answers = [self._answer(model, batch) for batch in test]
        outputs, targets = (_joined(list(column)) for column in zip(*answers, strict=True))
        return _scored({n: metric(outputs, targets) for n, metric in self.metrics.items()}, targets)

    @torch.no_grad()
    def _validate(self, model: nn.Module, held_out: Iterable[Batch]) -> float:
        """Return the mean loss of the items held out."""
        model.eval()
        losses = [(first_size(batch), float(self._loss(model, batch))) for batch in held_out]
        return sum(items * loss for items, loss in losses) / sum(items for items, _ in losses)

    def _sample(self, batch: Batch) -> Callable[[int], Inputs]:
        """Return what gives the inputs of n items: those of a batch, over again if it has fewer."""
        inputs = _apart(batch, self._label_of(batch))[0]
        count, device = first_size(inputs), inputs_of(inputs).device

        def sample(items: int) -> Inputs:
            found = select_items(inputs, torch.arange(items, device=device) % count)
            return found if isinstance(found, Mapping) else tuple(found)

        return sample


def _fixed_order() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _scored(found: Mapping[str, Scores], targets: Batch) -> dict[str, float]:
    """Return metrics as numbers; with the scores of the items, where a metric gives these."""
    return {name: _number(name, value, targets) for name, value in found.items()}


def _number(name: str, value: Scores, targets: Batch) -> float:
    """Return a metric of one number, or the mean of one that gives a number of each item."""
    scores = value.detach().cpu() if isinstance(value, Tensor) else np.asarray(value)
    if math.prod(scores.shape) == 1:
        return float(scores.reshape(()))
    order = inputs_of(targets)
    if tuple(scores.shape) == (len(order),):
        return ItemMean(scores, order)
    raise BenchError(
        f"from_loaders: the metric {name} gave the shape {tuple(scores.shape)}; it gives one "
        f"number, or one of each of the {len(order)} test items"
    )


def _batch_size(loader: object) -> int | None:
    """Return the size of the batches that a loader draws by itself; None where others choose."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return None
    return loader.batch_size if type(loader.batch_sampler) is BatchSampler else None


def _first(test: Iterable[Batch]) -> Batch:
    for batch in test:
        return batch
    raise BenchError("from_loaders: the test loader gives no batch")


def _apart(batch: Batch, label: Label) -> tuple[Inputs, Batch]:
    """Return a batch's inputs, by name or by place, and its targets: of one tensor, itself."""
    if isinstance(batch, Tensor):
        return [batch], batch
    if isinstance(batch, list | tuple) and len(batch) == 1:
        return list(batch), batch[0]
    try:
        if isinstance(batch, Mapping):
            return {key: part for key, part in batch.items() if key != label}, batch[label]
        place = range(len(batch))[label]
        return [part for at, part in enumerate(batch) if at != place], batch[place]
    except (KeyError, IndexError, TypeError):
        known = list(batch) if isinstance(batch, Mapping) else f"{len(batch)} parts"
        raise BenchError(
            f"from_loaders: a batch of {known} has no part {label!r} that is its target; say label="
        ) from None


def _joined(values: list[Outputs]) -> Outputs:
    """Return the answers to several batches as one."""

    def join(parts: list[Tensor]) -> Tensor:
        return torch.cat(parts) if parts[0].dim() else torch.stack(parts)

    if len(values) == 1:
        return values[0]
    try:
        return each_tensor(values, join)
    except (RuntimeError, ValueError) as error:
        raise BenchError(
            "from_loaders: metrics see the outputs of all test batches at once, and these can't be "
            f"joined ({error}); pad them to one length, or give one batch"
        ) from error
