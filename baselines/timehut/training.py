"""The job: what `TimeHUT.job` returns, put together from the parts in this package."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.optim import AdamW, Optimizer

from baselines.timehut import data, evaluation, masks
from baselines.timehut.averaging import WeightAverage
from baselines.timehut.crops import cut, draw_crop
from baselines.timehut.data import Data, Part
from baselines.timehut.encoder import TSEncoder
from baselines.timehut.losses import LossSettings, hierarchical_loss
from baselines.timehut.schedulers import SCHEDULES, Range
from baselines.timehut.settings import TimeHUTSettings
from baselines.timehut.sources import resolve
from baselines.timehut.svm import tensors_of
from bench.deployment import Deployment
from bench.errors import BenchError
from bench.job import Job, Progress, plain_update

VALIDATION_CROPS = 8
"""Crops that a validation loss is averaged over."""


@dataclass
class Temperature:
    """The temperature of the running epoch, set by the schedule and read by the loss."""

    value: float


def build(settings: TimeHUTSettings, device: torch.device, seed: int) -> Job:
    """Read the data and return a fresh job; the model starts from torch's global generator."""
    source, _ = resolve(settings.dataset, settings.data_dir)
    content = data.hold_out(data.load(source), settings.validation_fraction, seed)
    if settings.batch_size > len(content.train):
        raise BenchError(
            f"batch_size={settings.batch_size} is larger than the training part of"
            f" {content.card.name} ({len(content.train)} series); choose a smaller one"
        )
    torch.manual_seed(seed)
    train = _on(content.train, device)
    temperature = Temperature(_temperatures(settings, Progress(settings.epochs)))
    average = WeightAverage()
    averaging = settings.weight_averaging
    return Job(
        device=device,
        model=encoder_of(settings, *train.shape[1:]).to(device),
        epochs=settings.epochs,
        data=content.card,
        batches=_batches(train, settings.batch_size, _generator(seed)),
        make_optimizer=_optimizer(settings.lr),
        loss=_loss(settings, temperature, _generator(seed + 1)),
        evaluate=_evaluate(content, device),
        sample=_sample(content.test, device),
        schedule=_schedule(settings, temperature),
        update=average.step_and_clear if averaging else plain_update,
        snapshot=average.averaged if averaging else copy.deepcopy,
        validate=_validate(content.held_out, settings, device, seed),
        evaluate_every=settings.evaluate_every,
        deployment=_deployment(content, train),
    )


def loss_settings(settings: TimeHUTSettings) -> LossSettings:
    """Return the constants of the loss."""
    return LossSettings(
        alpha=settings.alpha,
        amc_instance=settings.amc_instance,
        amc_temporal=settings.amc_temporal,
        margin=settings.amc_margin,
        temporal_tau=settings.temporal_tau,
    )


def _deployment(content: Data, train: Tensor) -> Callable[[nn.Module], Deployment]:
    def deployment(model: nn.Module) -> Deployment:
        """Return the SVM on the training part's representations, as tensors."""
        found = evaluation.represent(model, train)
        fitted = evaluation.classifier(content.train.labels).fit(found, content.train.labels)
        scale = content.scale
        facts = {
            "steps": train.shape[1], "channels": train.shape[2],
            "mean": scale.mean.tolist() if scale else None,
            "deviation": scale.deviation.tolist() if scale else None,
        }  # fmt: skip
        return Deployment(content.classes, facts, tensors_of(fitted))

    return deployment


def encoder_of(settings: TimeHUTSettings, steps: int, channels: int) -> TSEncoder:
    """Return the encoder of settings, with random weights."""
    sizes = settings.output, settings.hidden, settings.depth
    return TSEncoder(channels, *sizes, longest=steps, mask=settings.mask)


def _generator(seed: int) -> Generator:
    # on the CPU whatever the device: the same crops everywhere, and no waiting for a number
    return Generator().manual_seed(seed)


def _on(part: Part, device: torch.device) -> Tensor:
    return torch.from_numpy(part.series).to(device)


def _optimizer(lr: float) -> Callable[[nn.Module], Optimizer]:
    def make(model: nn.Module) -> Optimizer:
        """Return AdamW in its fused form, the same mathematics in one call."""
        return AdamW(model.parameters(), lr=lr, fused=True)

    return make


def _batches(train: Tensor, size: int, random: Generator) -> Callable[[Progress], Iterator[Tensor]]:
    def epoch(progress: Progress) -> Iterator[Tensor]:
        """Yield shuffled batches ``(B, T, C)``; the last is dropped when it is smaller."""
        order = torch.randperm(len(train), generator=random).to(train.device)
        for start in range(0, len(train) - size + 1, size):
            yield train[order[start : start + size]]

    return epoch


def _temperatures(settings: TimeHUTSettings, progress: Progress) -> float:
    limits = Range(settings.temperature_min, settings.temperature_max, settings.temperature_period)
    schedule = SCHEDULES[settings.temperature_schedule]
    return schedule(progress.epoch, limits, progress.epoch_losses)


def _schedule(
    settings: TimeHUTSettings, temperature: Temperature
) -> Callable[[Optimizer, Progress], None]:
    def set_temperature(optimizer: Optimizer, progress: Progress) -> None:
        """Set the temperature of the epoch that begins."""
        temperature.value = _temperatures(settings, progress)

    return set_temperature


def _loss(
    settings: TimeHUTSettings, temperature: Temperature, random: Generator
) -> Callable[[nn.Module, Tensor], Tensor]:
    constants = loss_settings(settings)

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        """Cut two views out of the batch, encode them in one call, contrast them."""
        crop = draw_crop(batch.shape[0], batch.shape[1], random)
        pair, views = cut(batch, crop, full=settings.static_shapes)
        return hierarchical_loss(views.common(model(pair, views)), temperature.value, constants)

    return loss


def _evaluate(content: Data, device: torch.device) -> Callable[[nn.Module], Mapping[str, float]]:
    train, test = _on(content.train, device), _on(content.test, device)

    def evaluate(model: nn.Module) -> Mapping[str, float]:
        """Fit the SVM on the training part's representations and judge the test part's."""
        return evaluation.metrics(
            evaluation.represent(model, train),
            content.train.labels,
            evaluation.represent(model, test),
            content.test.labels,
        )

    return evaluate


def _sample(test: Part, device: torch.device) -> Callable[[int], tuple[Tensor]]:
    def sample(count: int) -> tuple[Tensor]:
        """Return `count` test series ``(count, T, C)``, starting over when there are fewer."""
        rows = torch.arange(count) % len(test)
        return (torch.from_numpy(test.series)[rows].to(device),)

    return sample


def _validate(
    part: Part | None, settings: TimeHUTSettings, device: torch.device, seed: int
) -> Callable[[nn.Module], float] | None:
    if part is None:
        return None
    series = _on(part, device)
    constants = loss_settings(settings)
    tau = (settings.temperature_min + settings.temperature_max) / 2

    def validate(model: nn.Module) -> float:
        """Return the mean loss over the same crops and masks every time, at one temperature."""
        random = _generator(seed + 2)
        total = torch.zeros((), device=device)
        with evaluation.evaluating(model):
            for _ in range(VALIDATION_CROPS):
                for batch in torch.split(series, settings.batch_size):
                    pair, views = cut(batch, draw_crop(len(batch), batch.shape[1], random))
                    rows, steps, _ = pair.shape
                    hidden = masks.draw(settings.mask, rows, steps, torch.device("cpu"), random)
                    z = views.common(model(pair, views, hidden.to(device)))
                    total += hierarchical_loss(z, tau, constants) * len(batch)
        return float(total) / (VALIDATION_CROPS * len(series))

    return validate
