"""What targets are, for techniques that mix or smooth them: classes, heads of them, or labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from bench.errors import NotApplicable

if TYPE_CHECKING:
    from bench.job import Job

TOLERANCE = 1e-3
"""How far, relatively, the loss of one-hot probabilities may lie from that of the classes."""
FAILURES = (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError)


@dataclass(frozen=True, slots=True)
class Targets:
    """What ``batch[1]`` holds in batches ``(inputs, targets)``; a job's loss takes both forms."""

    classes: int | None = None
    """Of so many classes the indices ``(B,)``, or probabilities ``(B, classes)``, as in
    `cross_entropy`; None: probabilities ``(B, labels)`` of labels independent of each other."""
    heads: tuple[int, ...] = ()
    """Instead of independent labels: several heads of so many classes each, their probabilities
    side by side ``(B, sum)``."""

    def soft(self, targets: Tensor) -> Tensor:
        """Return targets as probabilities ``(B, classes)`` or ``(B, labels)``."""
        if self.classes is None or targets.is_floating_point():
            return targets.to(torch.get_default_dtype())
        return functional.one_hot(targets, self.classes).to(torch.get_default_dtype())

    def smoothed(self, targets: Tensor, share: float) -> Tensor:
        """Return probabilities, `share` of them spread evenly over what an item could be."""
        soft = self.soft(targets)
        if self.heads:
            evenly = [torch.full((n,), 1 / n, device=soft.device) for n in self.heads]
            return soft * (1 - share) + share * torch.cat(evenly)
        return soft * (1 - share) + share / (2 if self.classes is None else self.classes)

    def divergence(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """Return the Kullback-Leibler divergence of logits ``(B, ...)`` from others' probabilities.

        The mean over items, and over heads or labels: each label is a question of two classes.
        """
        gaps = [
            functional.kl_div(
                own.log_softmax(1), other.log_softmax(1), reduction="batchmean", log_target=True
            )
            for own, other in zip(self._rows(logits), self._rows(wanted), strict=True)
        ]
        return torch.stack(gaps).mean()

    def _rows(self, logits: Tensor) -> list[Tensor]:
        """Return logits as rows of the classes of one question."""
        if self.heads:
            return list(torch.split(logits, list(self.heads), 1))
        if self.classes is None:
            return [torch.stack((logits, torch.zeros_like(logits)), -1).flatten(0, 1)]
        return [logits]


def checked_targets(job: Job) -> Targets:
    """Return a job's targets, having seen that its loss takes them as probabilities too.

    Raises `NotApplicable` where the job says nothing, or the loss of probabilities differs.
    """
    if job.targets is None:
        raise NotApplicable("the baseline doesn't say what its targets are: its job has no targets")
    if job.targets.classes is not None:
        _check_loss(job, job.targets, job.targets.classes)
    return job.targets


def _check_loss(job: Job, targets: Targets, classes: int) -> None:
    inputs = job.sample(max(2, min(classes, 8)))
    if len(inputs) != 1:
        raise NotApplicable(f"the model takes {len(inputs)} inputs, and batches are pairs")
    hard = torch.arange(len(inputs[0]), device=inputs[0].device) % classes
    by_index = loss_without_training(job, (inputs[0], hard))
    try:
        by_share = loss_without_training(job, (inputs[0], targets.soft(hard)))
    except FAILURES as error:
        said = str(error).strip().partition("\n")[0]
        raise NotApplicable(f"the baseline's loss takes no class probabilities: {said}") from error
    if abs(by_index - by_share) > TOLERANCE * max(abs(by_index), TOLERANCE):
        raise NotApplicable(
            f"the baseline's loss takes class probabilities for something else: {by_share:.4g} "
            f"for one-hot rows, {by_index:.4g} for the same classes"
        )


def loss_without_training(job: Job, batch: tuple[Tensor, Tensor]) -> float:
    """Return the loss of a batch in eval mode, leaving model and random state as they were."""
    was_training = job.model.training
    devices = [job.device] if job.device.type == "cuda" else []
    job.model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            return float(job.loss(job.model, batch))
    finally:
        job.model.train(was_training)
