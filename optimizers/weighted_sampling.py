"""Weighted sampling: draw items of rare classes more often, with replacement.

What:    an epoch has as many steps as before, but its items are drawn with replacement, each with a
         chance that falls with the frequency of its rarest label, to the power of `strength`.
Helps:   the recall of rare classes, at the work of an epoch as it is.
Hurts:   an epoch leaves some items out and repeats others; frequent classes are learned slower.
Effect:  learning.
Source:  torch.utils.data.WeightedRandomSampler; Mahajan et al., Exploring the Limits of Weakly
         Supervised Pretraining, ECCV 2018 (the power).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from bench.data.sampling import labelled, redrawn
from bench.errors import NotApplicable
from bench.job import Job
from bench.technique import Effect, Stage, Technique


class WeightedSampling(Technique):
    """Draw items by the frequency of their labels."""

    name: ClassVar[str] = "weighted-sampling"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.LEARNING

    strength: float = Field(
        1.0, gt=0, le=1, description="1: each label is drawn alike; towards 0: as often as it is"
    )

    def apply(self, job: Job) -> Job:
        """Claim `fixed` and `batches`."""
        items, table = labelled(job)
        weights = weights_of(table, self.strength)
        if bool((weights == weights[0]).all()):
            raise NotApplicable("all classes have the same number of items")

        def order(random: torch.Generator) -> Tensor:
            return torch.multinomial(weights, items.count, replacement=True, generator=random)

        return redrawn(job, items, order, by=self.name)


def weights_of(table: Tensor, strength: float) -> Tensor:
    """Return the weight of each row of `table` ``(N, labels)``; without a label, the least."""
    each = (table.sum(0) ** -strength * table).amax(1).double()
    return torch.where(each > 0, each, each[each > 0].min())
