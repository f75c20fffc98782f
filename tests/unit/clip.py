"""A technique in a file, as users write them."""

import torch

from bench.job import Job
from bench.technique import Effect, Stage, Technique


class ClipGradients(Technique):
    name = "clip-gradients"
    stage = Stage.LOOP
    effect = Effect.LEARNING
    norm: float = 1.0

    def apply(self, job: Job) -> Job:
        def clipped(update):  # type: ignore[no-untyped-def]  # as users write it
            def clip_and_update(optimizer):  # type: ignore[no-untyped-def]  # as users write it
                torch.nn.utils.clip_grad_norm_(job.model.parameters(), self.norm)
                update(optimizer)

            return clip_and_update

        return job.wrap("update", clipped, by=self.name)
