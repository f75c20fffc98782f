"""The job: what `S4ECG.job` returns, put together from the parts in this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW, Optimizer

from baselines.s4_ecg import data
from baselines.s4_ecg.data import CLASSES, Data, Part
from baselines.s4_ecg.network import Classifier, Encoder
from baselines.s4_ecg.settings import S4ECGSettings
from bench.data.sampling import shuffled
from bench.deployment import Deployment
from bench.errors import BenchError
from bench.job import DataCard, FixedItems, Job
from bench.metrics import macro_auroc
from bench.model import pretrained
from bench.model.best_weights import BestWeights
from bench.model.freezing import freeze
from bench.model.train_mode import evaluating
from bench.targets import Targets


class Batch(NamedTuple):
    """Signals ``(B, leads, L)`` and labels ``(B, classes)``."""

    signals: Tensor
    labels: Tensor


def build(settings: S4ECGSettings, device: torch.device, seed: int) -> Job:
    """Read the data and return a fresh job; the model starts from torch's global generator."""
    content = data.load(settings)
    if settings.batch_size > len(content.train):
        raise BenchError(
            f"batch_size={settings.batch_size} is larger than the training part of"
            f" {content.card.name} ({len(content.train)} records); choose a smaller one"
        )
    torch.manual_seed(seed)
    model, note = _model(settings, *content.train.signals.shape[1:])
    train, held_out, test = (
        part.to(device) for part in (content.train, content.validation, content.test)
    )
    items = _items(train, settings.batch_size, seed)
    best = BestWeights()
    return Job(
        device=device,
        model=model.to(device),
        epochs=settings.epochs,
        data=_noted(content.card.beside(*pretrained.digests(settings.checkpoint)), note),
        batches=items.batches,
        make_optimizer=_optimizer(settings.lr),
        loss=loss,
        evaluate=_evaluate(test, settings.batch_size),
        sample=lambda count: (test.signals[torch.arange(count) % len(test)],),
        stop=best.look,
        finish=best.restore,
        validate=_validate(held_out, settings.batch_size),
        evaluate_every=settings.evaluate_every,
        encoder="encoder",
        fixed=items,
        targets=Targets(),
        deployment=lambda model: Deployment(CLASSES, _facts(content)),
    )


def loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean binary cross-entropy over records and classes."""
    return functional.binary_cross_entropy_with_logits(model(batch[0]), batch[1])


def _facts(content: Data) -> dict[str, float | int]:
    length = content.test.signals.shape[2]
    return {"mean": content.mean, "deviation": content.deviation, "length": length}


def classifier_of(settings: S4ECGSettings, leads: int, length: int) -> Classifier:
    """Return the model of settings, with random weights."""
    encoder = Encoder(
        leads, length, settings.layers, settings.residual, settings.skip, settings.kernel
    )
    return Classifier(encoder, settings.skip, len(CLASSES))


def _model(settings: S4ECGSettings, leads: int, length: int) -> tuple[Classifier, str]:
    """Return the model, and what its encoder starts from."""
    model = classifier_of(settings, leads, length)
    encoder = model.encoder
    origin = "random weights"
    if settings.checkpoint is not None:
        origin = _load(encoder, settings.checkpoint)
    if settings.frozen:
        freeze(encoder)
    how = "frozen with" if settings.frozen else "trained from"
    return model, f"the encoder is {how} {origin}"


def _load(encoder: Encoder, path: Path) -> str:
    """Load the encoder's weights from a whole model's; return what they are."""
    found = pretrained.read(path)
    own = {
        name.removeprefix("encoder."): value
        for name, value in found.items()
        if name.startswith("encoder.")
    }
    return pretrained.fill(encoder, own, path)


def _noted(card: DataCard, note: str) -> DataCard:
    return replace(card, notes=(*card.notes, note))


def _items(train: Part, size: int, seed: int) -> FixedItems:
    return FixedItems(
        len(train),
        shuffled(len(train), size, seed, train.labels.device),
        lambda chosen: Batch(train.signals[chosen], train.labels[chosen]),
        labels=train.labels,
    )


def _optimizer(lr: float) -> Callable[[nn.Module], Optimizer]:
    def make(model: nn.Module) -> Optimizer:
        """Return AdamW over what trains, in its fused form."""
        weights = [p for p in model.parameters() if p.requires_grad]
        return AdamW(weights, lr=lr, fused=True)

    return make


def _logits(model: nn.Module, part: Part, size: int) -> Tensor:
    """Return the logits ``(N, classes)`` in evaluation mode."""
    with torch.no_grad(), evaluating(model):
        return torch.cat([model(x) for x in torch.split(part.signals, size)]).float()


def _evaluate(test: Part, size: int) -> Callable[[nn.Module], Mapping[str, float]]:
    def evaluate(model: nn.Module) -> Mapping[str, float]:
        """Return the macro AUROC of the test part."""
        scores = _logits(model, test, size).cpu().numpy()
        return {"macro_auroc": macro_auroc(scores, test.labels.cpu().numpy())}

    return evaluate


def _validate(held_out: Part, size: int) -> Callable[[nn.Module], float]:
    def validate(model: nn.Module) -> float:
        """Return the loss on the validation part."""
        found = _logits(model, held_out, size)
        return functional.binary_cross_entropy_with_logits(found, held_out.labels).item()

    return validate
