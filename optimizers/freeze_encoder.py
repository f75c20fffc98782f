"""Freeze the encoder: train only what comes after the part that a baseline names as its encoder.

What:    the encoder's weights get no gradients, and it stays in evaluation mode under no_grad, so
         neither its backward pass nor its activations are needed.
Helps:   an encoder that was pretrained, with a head that is small beside it; small training sets.
Hurts:   quality, where the encoder's features don't fit the task; a random encoder is a random map.
Effect:  learning; a gain is less work.
Source:  Yosinski et al., How Transferable Are Features in Deep Neural Networks?, NeurIPS 2014.
"""

from __future__ import annotations

from typing import ClassVar

from bench.errors import NotApplicable
from bench.job import Job
from bench.model.freezing import freeze
from bench.technique import Effect, Stage, Technique


class FreezeEncoder(Technique):
    """Freeze the submodule that the job names."""

    name: ClassVar[str] = "freeze-encoder"
    stage: ClassVar[Stage] = Stage.MODEL
    effect: ClassVar[Effect] = Effect.LEARNING
    less_work: ClassVar[bool] = True

    def apply(self, job: Job) -> Job:
        """Change the encoder in place."""
        if job.encoder is None:
            raise NotApplicable("the baseline names no part of its model as an encoder")
        encoder = job.model.get_submodule(job.encoder)
        own = {id(p) for p in encoder.parameters()}
        if not any(p.requires_grad for p in encoder.parameters()):
            raise NotApplicable(f"the encoder ({job.encoder}) is frozen already: none of it trains")
        if not any(p.requires_grad for p in job.model.parameters() if id(p) not in own):
            raise NotApplicable(f"nothing but the encoder ({job.encoder}) trains")
        freeze(encoder)
        return job.wrap("model", lambda model: model, by=self.name)
