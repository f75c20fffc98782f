"""Cutmix: paste a box of one item into another, and mix their targets by area.

What:    a box of random size and place (of signals: a stretch of time) is taken from the same batch
         in another order; targets become probabilities, weighted by the share that is left of each.
Helps:   nets that overfit or look at one detail; unlike mixup, inputs stay locally real.
Hurts:   short trainings and small nets, which underfit; inputs whose meaning lies in one place.
         Training losses are those of mixed targets: higher, and not to be compared.
Effect:  learning.
Source:  Yun et al., CutMix, ICCV 2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from types import EllipsisType
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bench.batches import Batch, inputs_of, rebuilt
from bench.errors import NotApplicable
from bench.job import Batches, Job, Progress
from bench.model.outputs import checked_targets, pairs_to_mix
from bench.targets import Targets
from bench.technique import Effect, Parts, Stage, Technique

Box = tuple[slice, ...]


class Cutmix(Technique):
    """Paste boxes between the items of a batch."""

    name: ClassVar[str] = "cutmix"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.LEARNING
    touches: ClassVar[Parts | None] = Parts()

    alpha: float = Field(1.0, gt=0, le=10, description="both parameters of the area's Beta")

    def apply(self, job: Job) -> Job:
        """Wrap `batches`; what is drawn follows from the trial's seed."""
        targets, inputs = checked_targets(job), inputs_of(job.sample(1))
        if inputs.dim() < 3:
            raise NotApplicable(
                f"the inputs have the shape {tuple(inputs.shape[1:])}: there is no space or time "
                "to cut, which cutmix takes to lie behind the channels, (C, T) or (C, H, W)"
            )
        draw = np.random.default_rng([torch.initial_seed(), *self.name.encode()])

        def wrapper(old: Batches) -> Batches:
            def batches(progress: Progress) -> Iterator[Batch]:
                for batch, inputs, known in pairs_to_mix(old(progress)):
                    yield rebuilt(batch, self._cut(inputs, known, targets, draw))

            return batches

        return job.wrap("batches", wrapper, by=self.name)

    def _cut(
        self, inputs: Tensor, known: Tensor, targets: Targets, draw: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        order = torch.from_numpy(draw.permutation(len(inputs)))
        order = order.to(inputs.device, non_blocking=True)
        box = drawn_box(inputs.shape[2:], float(draw.beta(self.alpha, self.alpha)), draw)
        pasted, soft = inputs.clone(), targets.soft(known)
        inside: tuple[EllipsisType | slice, ...] = (..., *box)
        pasted[inside] = inputs[inside][order]
        return pasted, torch.lerp(soft[order], soft, 1 - share_of(box, inputs.shape[2:]))


def drawn_box(shape: Sequence[int], left: float, draw: np.random.Generator) -> Box:
    """Return a box that leaves the share `left` of `shape`, more where it is cut at an edge."""
    width = (1 - left) ** (1 / len(shape)) / 2
    centres = [draw.uniform(0, size) for size in shape]
    return tuple(
        slice(round(max(0, centre - width * size)), round(min(size, centre + width * size)))
        for centre, size in zip(centres, shape, strict=True)
    )


def share_of(box: Box, shape: Sequence[int]) -> float:
    """Return the share of `shape` that a box covers."""
    return float(math.prod(one.stop - one.start for one in box) / math.prod(shape))
