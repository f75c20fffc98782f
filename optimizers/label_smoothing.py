"""Label smoothing: teach the net to be a little unsure.

What:    the targets of each training batch become probabilities, a share of which is spread evenly
         over all classes (of independent labels: moved towards a half). Evaluation is as before.
Helps:   nets that grow overconfident on many classes or noisy labels.
Hurts:   what reads the predicted probabilities as they are, and distillation from such a teacher.
         Training losses are those of the smoothed targets: higher, and not to be compared.
Effect:  learning.
Source:  Szegedy et al., Rethinking the Inception Architecture, CVPR 2016, section 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from bench.batches import Batch, rebuilt
from bench.job import Batches, Job, Progress
from bench.model.outputs import checked_targets, pair_of
from bench.technique import Effect, Parts, Stage, Technique


class LabelSmoothing(Technique):
    """Spread a share of each target over all classes."""

    name: ClassVar[str] = "label-smoothing"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.LEARNING
    touches: ClassVar[Parts | None] = Parts()

    share: float = Field(0.1, gt=0, lt=1, description="share of a target that is spread out")

    def apply(self, job: Job) -> Job:
        """Wrap `batches`."""
        targets = checked_targets(job)

        def wrapper(old: Batches) -> Batches:
            def batches(progress: Progress) -> Iterator[Batch]:
                for batch in old(progress):
                    inputs, known = pair_of(batch)
                    yield rebuilt(batch, (inputs, targets.smoothed(known, self.share)))

            return batches

        return job.wrap("batches", wrapper, by=self.name)
