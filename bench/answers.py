"""What models say to a few inputs: whether they take them, and whether answers have a mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bench.errors import NotApplicable
from bench.job import Job


def objection(job: Job, *inputs: Any) -> str | None:
    """Run the model on inputs in evaluation mode; return what it says against them, if anything."""
    was_training = job.model.training
    try:
        with torch.no_grad():
            job.model.eval()(*inputs)
    except (RuntimeError, ValueError, IndexError) as error:
        return str(error).strip().partition("\n")[0] or type(error).__name__
    finally:
        job.model.train(was_training)
    return None


def checked_scores(job: Job) -> None:
    """See that a model's outputs are scores of classes or labels, ``(items, scores)``.

    Raises `NotApplicable` otherwise: the mean of two embeddings, say, means nothing.
    """
    if job.targets is None:
        raise NotApplicable(
            "the baseline doesn't say that its outputs are scores: its job has no targets"
        )
    was_training = job.model.training
    with torch.no_grad():
        found = job.model.eval()(*job.sample(2))
    job.model.train(was_training)
    if not isinstance(found, Tensor) or found.dim() != 2 or not found.is_floating_point():
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise NotApplicable(f"the model's answer to two items, {shape}, is no row of scores each")


def mean_of(answers: Sequence[Tensor]) -> Tensor:
    """Return the mean of outputs of the same shape."""
    return torch.stack(list(answers)).mean(0)
