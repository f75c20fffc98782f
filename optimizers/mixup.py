"""Mixup: train on weighted means of two items and of their targets.

What:    each batch is mixed with itself in another order, inputs and targets alike, by one weight
         drawn from Beta(alpha, alpha); targets become probabilities. Evaluation is as before.
Helps:   nets that overfit; calibration and robustness to noisy labels.
Hurts:   short trainings and small nets, which underfit; inputs whose mean means nothing (tokens).
         Training losses are those of mixed targets: higher, and not to be compared.
Effect:  learning.
Source:  Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bench.batches import Batch, inputs_of, rebuilt
from bench.errors import NotApplicable
from bench.job import Batches, Job, Progress
from bench.model.outputs import checked_targets, like, pairs_to_mix
from bench.technique import Effect, Parts, Stage, Technique


class Mixup(Technique):
    """Mix every batch with itself."""

    name: ClassVar[str] = "mixup"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.LEARNING
    touches: ClassVar[Parts | None] = Parts()

    alpha: float = Field(0.2, gt=0, le=10, description="both parameters of the weights' Beta")

    def apply(self, job: Job) -> Job:
        """Wrap `batches`; what is drawn follows from the trial's seed."""
        targets, sampled = checked_targets(job), inputs_of(job.sample(1))
        if not sampled.is_floating_point():
            raise NotApplicable(f"the inputs are {sampled.dtype}: a mean of two means nothing")
        draw = np.random.default_rng([torch.initial_seed(), *self.name.encode()])

        def wrapper(old: Batches) -> Batches:
            def batches(progress: Progress) -> Iterator[Batch]:
                for batch, inputs, known in pairs_to_mix(old(progress)):
                    order = torch.from_numpy(draw.permutation(len(inputs)))
                    order = order.to(inputs.device, non_blocking=True)
                    weight = float(draw.beta(self.alpha, self.alpha))
                    soft = targets.soft(known)
                    parts = like(sampled, inputs), soft
                    yield rebuilt(batch, [mixed(part, order, weight) for part in parts])

            return batches

        return job.wrap("batches", wrapper, by=self.name)


def mixed(values: Tensor, order: Tensor, weight: float) -> Tensor:
    """Return ``weight * values + (1 - weight) * values[order]``."""
    return torch.lerp(values[order], values, weight)
