"""The job: what `Murmur.job` returns, put together from the parts in this package."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from baselines.murmur import data, weights
from baselines.murmur.backbones import backbone
from baselines.murmur.circor import MURMUR, OUTCOME
from baselines.murmur.data import HEADS, Part
from baselines.murmur.losses import cross_entropy, focal, of_heads
from baselines.murmur.network import Classifier
from baselines.murmur.scoring import Floats, accuracies, scores
from baselines.murmur.settings import MurmurSettings
from bench.data.sampling import placing, shuffled
from bench.deployment import Deployment
from bench.job import FixedItems, Job, Progress, Schedule, no_schedule
from bench.model import pretrained
from bench.model.best_weights import BestWeights
from bench.model.train_mode import evaluating
from bench.targets import Targets

CHOOSING = ("murmur_accuracy", "outcome_accuracy", "murmur_weighted_accuracy")
"""Metrics that are told of the validation part too: of the best weights, and of settings."""
LABELS = (*(f"murmur {one}" for one in MURMUR), *(f"outcome {one}" for one in OUTCOME))
"""As the logits stand side by side."""


class Batch(NamedTuple):
    """Pictures ``(B, 1, mels, frames)``, and both heads' targets side by side ``(B, 5)``."""

    images: Tensor
    targets: Tensor


def build(settings: MurmurSettings, device: torch.device, seed: int) -> Job:
    """Read the data and return a fresh job; the model starts from torch's global generator."""
    content = data.load(settings)
    torch.manual_seed(seed)
    model, origin = _model(settings)
    items = _items(content.train, settings.batch_size, device, seed)
    loss = of_heads(focal(settings.gamma) if settings.loss == "focal" else cross_entropy, HEADS)
    measure = Measure(content.validation, settings.batch_size, device)
    best = BestWeights(rank=lambda model: measure.rank(model, loss))

    def item_losses(model: nn.Module, batch: Batch) -> Tensor:
        return loss(model(batch[0]), batch[1])

    return Job(
        device=device,
        model=model.to(device),
        epochs=settings.epochs,
        data=replace(
            content.card.beside(*pretrained.digests(settings.weights)),
            notes=(*content.card.notes, origin),
        ),
        batches=items.batches,
        make_optimizer=_optimizer(settings),
        schedule=_schedule(settings),
        loss=lambda model, batch: item_losses(model, batch).mean(),
        item_losses=item_losses,
        targets=Targets(heads=HEADS),
        evaluate=_evaluate(Measure(content.test, settings.batch_size, device), measure),
        sample=_sample(content.test, device),
        stop=best.look,
        finish=best.restore,
        validate=lambda model: measure.loss(model, loss),
        evaluate_every=settings.evaluate_every,
        encoder="encoder",
        fixed=items,
        deployment=lambda model: Deployment(LABELS),
    )


def classifier_of(settings: MurmurSettings) -> Classifier:
    """Return the network of settings, with random weights."""
    made = backbone(settings.backbone, settings.width, channels=1)
    return Classifier(made, settings.hidden, settings.dropout, HEADS)


def _model(settings: MurmurSettings) -> tuple[Classifier, str]:
    """Return the network, and where its backbone's weights come from."""
    network = classifier_of(settings)
    origin = "random weights"
    if settings.weights is not None:
        origin = weights.load(network.encoder, settings.weights)
    return network, f"the backbone is trained from {origin}"


def _items(train: Part, size: int, device: torch.device, seed: int) -> FixedItems:
    def take(chosen: Tensor) -> Batch:
        chosen = chosen.cpu()
        return Batch(train.images[chosen].float(), train.targets[chosen])

    rows = shuffled(len(train), size, seed)
    return FixedItems(len(train), rows, take, placing(device), train.targets, groups=train.patients)


def _optimizer(settings: MurmurSettings) -> Callable[[nn.Module], Optimizer]:
    def make(model: nn.Module) -> Optimizer:
        """Return AdamW over what trains, in its fused form."""
        trained = [p for p in model.parameters() if p.requires_grad]
        return AdamW(trained, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)

    return make


def _schedule(settings: MurmurSettings) -> Schedule:
    def cosine(optimizer: Optimizer, progress: Progress) -> None:
        """Set the rates of an epoch, from those that the optimizer began with."""
        done = progress.epoch / progress.total_epochs
        for group in optimizer.param_groups:
            first = group.setdefault("initial_lr", group["lr"])
            group["lr"] = first * (1 + math.cos(math.pi * done)) / 2

    return cosine if settings.lr_decay == "cosine" else no_schedule


def _sample(test: Part, device: torch.device) -> Callable[[int], tuple[Tensor]]:
    return lambda count: (test.images[torch.arange(count) % len(test)].float().to(device),)


class Measure:
    """Asks a model about one part."""

    def __init__(self, part: Part, size: int, device: torch.device) -> None:
        self.part, self._size, self._device = part, size, device

    @torch.no_grad()
    def logits(self, model: nn.Module) -> Tensor:
        """Return the logits of all stretches ``(N, 5)`` on the CPU, in evaluation mode."""
        batches = torch.split(self.part.images, self._size)
        with evaluating(model):
            return torch.cat([model(one.float().to(self._device)).float().cpu() for one in batches])

    def patients(self, logits: Tensor) -> tuple[Floats, Floats]:
        """Return each patient's mean probabilities of both heads, ``(P, 3)`` and ``(P, 2)``."""
        heads = logits[:, : HEADS[0]], logits[:, HEADS[0] :]
        murmur, outcome = (self.part.by_patient(head.softmax(1)).numpy() for head in heads)
        return murmur, outcome

    def scores(self, model: nn.Module) -> dict[str, float]:
        """Return all metrics of the part."""
        patients = self.patients(self.logits(model))
        return scores(*patients, self.part.murmur, self.part.outcome)

    def loss(self, model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]) -> float:
        """Return the mean loss of all stretches."""
        return loss(self.logits(model), self.part.targets).mean().item()

    def rank(
        self, model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]
    ) -> tuple[float, float]:
        """Return the mean error of both heads, then the loss: the lower, the better."""
        logits = self.logits(model)
        right = accuracies(*self.patients(logits), self.part.murmur, self.part.outcome)
        return 1 - sum(right.values()) / 2, loss(logits, self.part.targets).mean().item()


def _evaluate(test: Measure, validation: Measure) -> Callable[[nn.Module], Mapping[str, float]]:
    def evaluate(model: nn.Module) -> Mapping[str, float]:
        """Return the challenge's metrics of the test part, and of validation what chooses."""
        held_out = validation.scores(model)
        return test.scores(model) | {f"validation_{name}": held_out[name] for name in CHOOSING}

    return evaluate
