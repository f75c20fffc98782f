"""Losses and metrics of one task: AUROC, accuracy, and the share found of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.xray.data import Part, TaskData
from bench.metrics import auroc, macro_auroc
from bench.model.train_mode import evaluating


def item_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each image ``(B,)``.

    Targets are, of two classes, the probability of the second ``(B, 1)``; of more, classes
    ``(B,)`` or their probabilities ``(B, classes)``.
    """
    if logits.shape[1] == 1:
        each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return each[:, 0]
    return functional.cross_entropy(logits, targets, reduction="none")


def targets_of(classes: Tensor, outputs: int) -> Tensor:
    """Return classes ``(B,)`` as what `item_losses` compares logits with."""
    return classes[:, None].to(torch.get_default_dtype()) if outputs == 1 else classes


def logits_of(model: nn.Module, part: Part, device: torch.device) -> Tensor:
    """Return a model's logits of a part in evaluation mode, ``(N, outputs)``."""
    with torch.no_grad(), evaluating(model):
        return torch.cat([model(images.to(device)) for images in part.inputs()]).float()


def metrics(
    model: nn.Module, tasks: Sequence[TaskData], device: torch.device
) -> Mapping[str, float]:
    """Return what a model finds on the test parts; of several tasks means, and each by its name."""
    starts = np.cumsum([0, *(task.outputs for task in tasks)])
    each = []
    for task, start in zip(tasks, starts, strict=False):
        logits = logits_of(model, task.test, device)[:, start : start + task.outputs]
        each.append(task_metrics(logits.cpu(), task.test.classes.cpu(), task.classes))
    if len(tasks) == 1:
        return each[0]
    means = {key: float(np.mean([one[key] for one in each])) for key in ("auroc", "accuracy")}
    named = {
        f"{task.name}.{key}": value
        for task, one in zip(tasks, each, strict=True)
        for key, value in one.items()
    }
    return {**means, **named}


def task_metrics(logits: Tensor, classes: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Return AUROC (of more than two classes its mean), accuracy, and that of each class."""
    if logits.shape[1] == 1:
        chosen = (logits[:, 0] > 0).long()
        area = auroc(logits[:, 0].numpy(), classes.numpy().astype(np.float32))
    else:
        chosen = logits.argmax(1)
        one_hot = functional.one_hot(classes, len(names)).float()
        area = macro_auroc(logits.numpy(), one_hot.numpy())
    right = chosen == classes
    found = {f"accuracy.{name}": _share(right[classes == k]) for k, name in enumerate(names)}
    whole = float("nan") if area is None else area
    return {"auroc": whole, "accuracy": _share(right), **found}


def _share(right: Tensor) -> float:
    return float(right.float().mean())
