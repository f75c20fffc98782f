"""The job: what `ECGCNN.job` returns, put together from the parts in this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from baselines.ecg_cnn import data
from baselines.ecg_cnn.data import Data, Part
from baselines.ecg_cnn.network import Network, dense, features
from baselines.ecg_cnn.settings import ECGCNNSettings
from bench.data.sampling import placing, shuffled
from bench.deployment import Deployment
from bench.job import FixedItems, Job, Progress
from bench.metrics import macro_auroc, macro_f1, recalls
from bench.model.best_weights import BestWeights
from bench.model.train_mode import evaluating
from bench.targets import Targets

ALPHA, GAMMA = 0.25, 2.0
"""Of the focal loss: the weight of positives, and how little what is sure counts."""
CUT = 0.5
"""What the learning rate is multiplied with where the validation loss stalls."""


class Batch(NamedTuple):
    """Signals ``(B, 12, T)`` in mV and labels ``(B, classes)``, 0 or 1 (or between, smoothed)."""

    signals: Tensor
    labels: Tensor


def build(settings: ECGCNNSettings, device: torch.device, seed: int) -> Job:
    """Open the data and return a fresh job; the model starts from torch's global generator."""
    content = data.load(settings)
    torch.manual_seed(seed)
    items = _items(content.train, settings.batch_size, device, seed)
    best = BestWeights(settings.patience)
    item_losses = _item_losses(focal if settings.loss == "focal" else cross_entropy)
    return Job(
        device=device,
        model=network_of(settings, len(content.classes)).to(device),
        epochs=settings.epochs,
        data=content.card,
        batches=items.batches,
        make_optimizer=lambda model: Adam(_trained(model), lr=settings.lr, fused=True),
        loss=lambda model, batch: item_losses(model, batch).mean(),
        item_losses=item_losses,
        targets=Targets(),
        evaluate=_evaluate(content, settings.batch_size, device),
        sample=_sample(content.test, device),
        schedule=_Plateau(settings.plateau_patience, best).schedule,
        stop=best.look,
        finish=best.restore,
        validate=_validate(content.validation, settings, device),
        evaluate_every=settings.evaluate_every,
        encoder="features",
        fixed=items,
        deployment=lambda model: Deployment(content.classes),
    )


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the binary cross-entropy of each label ``(B, classes)``."""
    return functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")


def focal(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the focal loss of each label ``(B, classes)``; Lin et al., 2017, equation 5.

    With smoothed labels, the modulating factor is the distance from label to probability (Li et
    al., Generalized Focal Loss, 2020).
    """
    weight = labels * ALPHA + (1 - labels) * (1 - ALPHA)
    far = (labels - logits.sigmoid()).abs() ** GAMMA
    return weight * far * cross_entropy(logits, labels)


def _item_losses(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[nn.Module, Batch], Tensor]:
    return lambda model, batch: loss(model(batch[0]), batch[1]).mean(1)


def network_of(settings: ECGCNNSettings, classes: int) -> Network:
    """Return the network of settings, with random weights."""
    encoder, channels = features(
        settings.width, settings.deep, settings.residual, settings.squeeze, settings.attention,
        settings.attention_scale,
    )  # fmt: skip
    return Network(encoder, dense(channels, classes, settings.extra_dense))


def _trained(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def _items(train: Part, size: int, device: torch.device, seed: int) -> FixedItems:
    def take(chosen: Tensor) -> Batch:
        chosen = chosen.cpu()
        return Batch(train.read(chosen), train.labels[chosen])

    rows = shuffled(len(train), size, seed)
    return FixedItems(len(train), rows, take, placing(device), train.labels)


def _sample(test: Part, device: torch.device) -> Callable[[int], tuple[Tensor]]:
    return lambda count: (test.read(torch.arange(count) % len(test)).to(device),)


@dataclass
class _Plateau:
    """Halves the learning rate each time the validation loss has stalled for some epochs."""

    patience: int
    best: BestWeights
    since: int = 0

    def schedule(self, optimizer: Optimizer, progress: Progress) -> None:
        """Set the rates of an epoch; a part for `Job.schedule`."""
        self.since = max(self.since, self.best.epoch)
        if not self.patience or progress.epoch - self.since < self.patience:
            return
        self.since = progress.epoch
        for group in optimizer.param_groups:
            group["lr"] *= CUT


@torch.no_grad()
def _logits(model: nn.Module, part: Part, size: int, device: torch.device) -> Tensor:
    """Return the logits ``(N, classes)`` on the CPU, in evaluation mode."""
    rows = torch.split(torch.arange(len(part)), size)
    with evaluating(model):
        return torch.cat([model(part.read(chosen).to(device)).float().cpu() for chosen in rows])


def _evaluate(
    content: Data, size: int, device: torch.device
) -> Callable[[nn.Module], Mapping[str, float]]:
    def evaluate(model: nn.Module) -> Mapping[str, float]:
        """Return macro AUROC, macro F1 and the mean recall of rare labels, at a half."""
        scores = _logits(model, content.test, size, device).numpy()
        labels = content.test.labels.numpy()
        rare = [
            r for r in recalls(scores[:, content.rare], labels[:, content.rare]) if r is not None
        ]
        return {
            "macro_auroc": macro_auroc(scores, labels),
            "macro_f1": macro_f1(scores, labels),
            "rare_recall": sum(rare) / len(rare) if rare else float("nan"),
        }

    return evaluate


def _validate(
    held_out: Part, settings: ECGCNNSettings, device: torch.device
) -> Callable[[nn.Module], float]:
    loss = focal if settings.loss == "focal" else cross_entropy

    def validate(model: nn.Module) -> float:
        """Return the loss of the validation part."""
        found = _logits(model, held_out, settings.batch_size, device)
        return loss(found, held_out.labels).mean().item()

    return validate
