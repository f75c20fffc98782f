"""Progressive resizing: train on small images first, on whole ones at the end.

What:    images of a batch are averaged down to a share of their sides that grows with the epochs;
         the last epochs see them whole. The model and its evaluation stay as they are.
Helps:   convolutional nets on large images: work falls with the square of the side.
Hurts:   tasks that need fine detail; nets that only take one size are not applicable.
Effect:  learning; a gain is less work.
Source:  Howard, fast.ai DAWNBench entry, 2018; Tan and Le, EfficientNetV2, ICML 2021, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from bench.batches import Batch, inputs_of, with_inputs
from bench.errors import NotApplicable
from bench.job import Batches, Job, Progress
from bench.model.outputs import check_alone, like, objection
from bench.technique import Effect, Stage, Technique


class ProgressiveResizing(Technique):
    """Let the size of images grow with the epochs."""

    name: ClassVar[str] = "progressive-resizing"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.LEARNING
    less_work: ClassVar[bool] = True

    start: float = Field(
        0.5, gt=0, lt=1, description="share of the sides in the first epoch",
        json_schema_extra={"range": [0.35, 0.5, 0.7]},
    )  # fmt: skip
    until: float = Field(
        0.75, gt=0, le=1, description="share of the epochs after which images are whole"
    )
    multiple: int = Field(4, ge=1, description="sides are rounded to multiples of this many pixels")

    def apply(self, job: Job) -> Job:
        """Wrap `batches`, having seen that the model takes the smallest images."""
        sample = job.sample(2)
        images = inputs_of(sample)
        if images.dim() != 4:
            raise NotApplicable(
                f"the inputs have the shape {tuple(images.shape[1:])}: these are no images"
            )
        if not images.is_floating_point():
            raise NotApplicable(
                f"the images are {images.dtype}, of which no means are taken; give them to the "
                "model as floating-point numbers"
            )
        small = self.resized(images, Progress(job.epochs))
        sides = f"{small.shape[2]}x{small.shape[3]}"
        if small.shape == images.shape:
            raise NotApplicable(f"images of {sides} would not become smaller: lower start")
        check_alone(sample, images, [2, 3], max(images.shape[2:]))
        if said := objection(job, with_inputs(sample, small)):
            raise NotApplicable(f"the model takes no images of {sides}: {said}")

        def wrapper(old: Batches) -> Batches:
            def batches(progress: Progress) -> Iterator[Batch]:
                for batch in old(progress):
                    seen = like(images, inputs_of(batch))
                    yield with_inputs(batch, self.resized(seen, progress))

            return batches

        return job.wrap("batches", wrapper, by=self.name)

    def resized(self, images: Tensor, progress: Progress) -> Tensor:
        """Return images ``(B, C, H, W)`` as large as they are in this epoch."""
        grown = min(1.0, progress.epoch / (self.until * progress.total_epochs))
        share = self.start + (1 - self.start) * grown
        if share >= 1:
            return images
        size = [self._side(side, share) for side in images.shape[2:]]
        return F.interpolate(images, size=size, mode="area")

    def _side(self, whole: int, share: float) -> int:
        return min(whole, max(1, round(whole * share / self.multiple)) * self.multiple)
