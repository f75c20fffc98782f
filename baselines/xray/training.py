"""The job: what `Xray.job` returns, put together from the parts in this package."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from baselines.xray import data, weights
from baselines.xray.augmentation import augmented, rescaled
from baselines.xray.backbones import BACKBONES, initialise
from baselines.xray.data import Part, TaskData
from baselines.xray.evaluation import item_losses, logits_of, metrics, targets_of
from baselines.xray.network import Classifier, Several, cut
from baselines.xray.settings import XraySettings
from bench.deployment import Deployment
from bench.job import DataCard, FixedItems, Job, Progress, Schedule, no_schedule
from bench.model import pretrained
from bench.random_state import undisturbed
from bench.targets import Targets
from bench.trial.training import train

FITTED = 64
"""Images of the training part that the norms of a random frozen backbone are fitted to."""


class Batch(NamedTuple):
    """Images ``(B, 3, S, S)`` and targets, see `item_losses`."""

    images: Tensor
    targets: Tensor


class TaskBatch(Batch):
    """A batch of one task of several; a subclass of its own for each."""

    task: ClassVar[int]


def build(settings: XraySettings, device: torch.device, seed: int) -> Job:
    """Read the data and return a fresh job; the model starts from torch's global generator."""
    tasks, card = data.load(settings, device)
    torch.manual_seed(seed)
    made = [_model(settings, task, device, seed) for task in tasks]
    models, notes = [model for model, _ in made], [note for _, note in made]
    seen = [_samples(settings, task) for task in tasks]
    card = replace(card, notes=tuple(dict.fromkeys((*card.notes, *seen, *notes))))
    card = card.beside(*pretrained.digests(settings.weights))
    job = (
        _one(settings, tasks[0], models[0], card, device, seed) if len(tasks) == 1
        else _several(settings, tasks, models, card, device, seed)
    )  # fmt: skip
    return replace(job, deployment=lambda model: _deployment(tasks))


def _deployment(tasks: list[TaskData]) -> Deployment:
    """Return the classes of all tasks, as the logits stand side by side."""
    named = [(f"{task.name} " if len(tasks) > 1 else "", task.classes) for task in tasks]
    labels = tuple(f"{name}{label}" for name, classes in named for label in classes)
    facts = {"classes": [len(task.classes) for task in tasks], "bits": [t.bits for t in tasks]}
    return Deployment(labels, facts)


def loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of a batch."""
    return losses(model, batch).mean()


def losses(model: nn.Module, batch: Batch) -> Tensor:
    """Return the cross-entropy of each image ``(B,)``."""
    return item_losses(model(batch[0]), batch[1])


def _one(
    settings: XraySettings, task: TaskData, model: nn.Module, card: DataCard,
    device: torch.device, seed: int,
) -> Job:  # fmt: skip
    feed = _Feed(settings, task, device, seed)
    items = feed.items() if settings.augmentation == "minimal" else None
    return Job(
        device=device,
        model=model,
        epochs=settings.epochs,
        data=card,
        batches=items.batches if items else feed.batches,
        make_optimizer=_optimizer(settings),
        schedule=_schedule(settings),
        loss=loss,
        evaluate=lambda trained: metrics(trained, [task], device),
        sample=_sample(task.test, device),
        validate=_validate(task, task.validation, device) if task.validation else None,
        evaluate_every=settings.evaluate_every,
        encoder="encoder",
        fixed=items,
        epoch_items=_steps(settings, len(task.train)) * settings.batch_size,
        item_losses=losses,
        targets=Targets(None if task.outputs == 1 else task.outputs),
    )


def _several(
    settings: XraySettings, tasks: list[TaskData], models: list[nn.Module], card: DataCard,
    device: torch.device, seed: int,
) -> Job:  # fmt: skip
    """Return a job that trains one classifier after the other, each for all its epochs."""
    kinds = [type("TaskBatch", (TaskBatch,), {"task": number}) for number in range(len(tasks))]
    feeds = [_Feed(settings, task, device, seed) for task in tasks]

    def batches(progress: Progress) -> Iterator[TaskBatch]:
        number = progress.epoch // settings.epochs
        return (kinds[number](*batch) for batch in feeds[number].batches(progress))

    def task_loss(model: nn.Module, batch: TaskBatch) -> Tensor:
        return item_losses(model(batch.images, batch.task), batch.targets).mean()

    return Job(
        device=device,
        model=Several(models).to(device),
        epochs=settings.epochs * len(tasks),
        data=card,
        batches=batches,
        make_optimizer=_optimizer(settings),
        schedule=_schedule(settings),
        loss=task_loss,
        evaluate=lambda trained: metrics(trained, tasks, device),
        sample=_sample(tasks[0].test, device),
        evaluate_every=settings.evaluate_every,
    )


class _Feed:
    """Draws a task's batches; a last smaller one is dropped."""

    def __init__(
        self, settings: XraySettings, task: TaskData, device: torch.device, seed: int
    ) -> None:
        self._settings, self._device = settings, device
        self._train, self._outputs = task.train, task.outputs
        self._random = torch.Generator().manual_seed(seed)

    def rows(self, progress: Progress) -> Iterator[Tensor]:
        """Yield the shuffled rows of one epoch's batches."""
        order = torch.randperm(len(self._train), generator=self._random).to(self._device)
        size, steps = self._settings.batch_size, _steps(self._settings, len(self._train))
        yield from torch.split(order[: steps * size], size)

    def batches(self, progress: Progress) -> Iterator[Batch]:
        """Yield one epoch's batches, augmented where the settings say so."""
        make = self._rescaled if self._settings.augmentation == "minimal" else self._augmented
        return (self._placed(make(rows)) for rows in self.rows(progress))

    def items(self) -> FixedItems:
        """Return the training part as items that don't change."""
        part = self._train
        return FixedItems(len(part), self.rows, self._rescaled, self._placed, part.classes)

    def _rescaled(self, rows: Tensor) -> Batch:
        return Batch(rescaled(self._images(rows)), self._targets(rows))

    def _augmented(self, rows: Tensor) -> Batch:
        return Batch(augmented(self._images(rows), self._random), self._targets(rows))

    def _images(self, rows: Tensor) -> Tensor:
        return self._train.images[rows.to(self._train.images.device)]

    def _targets(self, rows: Tensor) -> Tensor:
        return targets_of(self._train.classes[rows], self._outputs)

    def _placed(self, batch: Batch) -> Batch:
        return Batch(batch.images.to(self._device), batch.targets.to(self._device))


def _steps(settings: XraySettings, images: int) -> int:
    whole = images // settings.batch_size
    return min(whole, settings.steps_per_epoch or whole)


def _samples(settings: XraySettings, task: TaskData) -> str:
    """Say how many images a training sees: an epoch that ends early is a part of one."""
    images, steps = len(task.train), _steps(settings, len(task.train))
    seen = settings.epochs * steps * settings.batch_size
    return (f"{task.name}: {settings.epochs} epochs of {steps} steps of {settings.batch_size} see"
            f" {seen:,} images, {seen / images:.2f} passes over the training part")  # fmt: skip


def _model(
    settings: XraySettings, task: TaskData, device: torch.device, seed: int
) -> tuple[nn.Module, str]:
    """Return a task's classifier, and where its backbone comes from and what of it trains."""
    units, features = BACKBONES[settings.architecture](settings.width)
    backbone = nn.Sequential(units)
    initialise(backbone)
    origin = "random weights"
    if settings.weights is not None:
        origin = weights.load(backbone, settings.architecture, settings.weights)
    where = cut(units, settings.trainable_layers)
    if settings.pretrain_epochs:
        whole = Classifier(units, features, cut(units, None), settings.hidden, task.outputs)
        _pretrain(whole.to(device), settings, task, device, seed)
        origin += f", after {settings.pretrain_epochs} epochs of the whole on the training part"
    elif where.frozen and settings.weights is None:
        fit_norms(backbone.to(device), task.train, device)
        origin += ", its norms fitted to training images"
    model = Classifier(units, features, where, settings.hidden, task.outputs).to(device)
    how = (
        "trained from" if not where.frozen
        else f"trained in its last {where.layers} layers from" if where.layers
        else "frozen with"
    )  # fmt: skip
    return model, f"the backbone is {how} {origin}"


def fit_norms(backbone: nn.Module, part: Part, device: torch.device) -> None:
    """Set the statistics of batch norms from a few images, in place.

    A random network that is frozen with those it begins with (0 and 1) lets little through.
    """
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # a plain mean over the batches
    rows = torch.linspace(0, len(part) - 1, min(len(part), FITTED)).long()
    backbone.train()
    with torch.no_grad():
        for some in rows.to(part.images.device).tensor_split(2 if len(rows) > 3 else 1):
            backbone(rescaled(part.images[some]).to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _pretrain(
    whole: nn.Module, settings: XraySettings, task: TaskData, device: torch.device, seed: int
) -> None:
    """Train a network whole, in place, before the clock starts: its head is thrown away."""
    changes = {"epochs": settings.pretrain_epochs, "steps_per_epoch": None, "evaluate_every": 0}
    plain = settings.model_copy(update=changes)
    job = _one(plain, task, whole, DataCard(task.name, "", 0, 0), device, seed)
    with undisturbed(device):
        train(replace(job, evaluate=lambda model: {}))


def _optimizer(settings: XraySettings) -> Callable[[nn.Module], Optimizer]:
    def make(model: nn.Module) -> Optimizer:
        """Return AdamW over what trains, in its fused form."""
        weights = [p for p in model.parameters() if p.requires_grad]
        return AdamW(weights, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)

    return make


def _schedule(settings: XraySettings) -> Schedule:
    def cosine(optimizer: Optimizer, progress: Progress) -> None:
        """Set the rates of an epoch, from those that the optimizer began with."""
        done = progress.epoch % settings.epochs / settings.epochs
        for group in optimizer.param_groups:
            first = group.setdefault("initial_lr", group["lr"])
            group["lr"] = first * (1 + math.cos(math.pi * done)) / 2

    return cosine if settings.lr_decay == "cosine" else no_schedule


def _sample(test: Part, device: torch.device) -> Callable[[int], tuple[Any, ...]]:
    def sample(count: int) -> tuple[Any, ...]:
        """Return `count` test images as the model sees them."""
        rows = torch.arange(count, device=test.images.device) % len(test)
        return (rescaled(test.images[rows]).to(device),)

    return sample


def _validate(task: TaskData, held_out: Part, device: torch.device) -> Callable[[nn.Module], float]:
    def validate(model: nn.Module) -> float:
        """Return the loss on the images that are held out."""
        targets = targets_of(held_out.classes, task.outputs)
        logits = logits_of(model, held_out, device)
        return item_losses(logits, targets.to(device)).mean().item()

    return validate
