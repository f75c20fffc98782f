"""Clip gradients: a technique of one's own.

bench --test clip.py:ClipGradients:norm=0.5 clip.py:ClipGradients:norm=2
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from bench.job import Job
from bench.technique import Effect, Stage, Technique

Update = Callable[[torch.optim.Optimizer], None]


class ClipGradients(Technique):
    """Scale gradients down before each update, where their norm is larger."""

    name = "clip-gradients"
    stage = Stage.LOOP
    effect = Effect.LEARNING
    norm: float = 1.0

    def apply(self, job: Job) -> Job:
        """Wrap the update of the weights."""

        def clipped(update: Update) -> Update:
            def clip_and_update(optimizer: torch.optim.Optimizer) -> None:
                torch.nn.utils.clip_grad_norm_(job.model.parameters(), self.norm)
                update(optimizer)

            return clip_and_update

        return job.wrap("update", clipped, by=self.name)
