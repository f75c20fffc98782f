"""Test-time augmentation: ask the model about several views of an input, and average its answers.

What:    the deployed model answers with the mean of its outputs on the input as it is and shifted
         a little, around its end, along the last axis (of pictures the width, of signals and
         spectrograms the time); with `flip`, mirrored along it too. Training is as before.
Helps:   quality, where what is looked for may stand anywhere; the fewer items, the more.
Hurts:   inference, which takes as many times longer as there are views; inputs whose place or
         direction along that axis means something.
Effect:  model: the same weights, another function at inference.
Source:  Krizhevsky et al., ImageNet Classification with Deep CNNs, NeurIPS 2012, section 4.1; Wang
         et al., Aleatoric Uncertainty Estimation with Test-Time Augmentation, 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.averaging import checked_scores, mean_of
from bench.errors import NotApplicable
from bench.job import Job
from bench.technique import Effect, Stage, Technique

Finish = Callable[[Job, nn.Module], nn.Module]


class TestTimeAugmentation(Technique):
    """Deploy the mean over views."""

    __test__: ClassVar[bool] = False  # pytest takes a class of this name for tests

    name: ClassVar[str] = "tta"
    stage: ClassVar[Stage] = Stage.DEPLOY
    effect: ClassVar[Effect] = Effect.MODEL

    views: int = Field(5, ge=1, le=64, description="shifts, evenly spread, no shift among them")
    reach: float = Field(
        0.1, gt=0, le=0.5, description="the farthest shift either way, as a share of the axis"
    )
    flip: bool = Field(False, description="ask about each view mirrored, too")

    def apply(self, job: Job) -> Job:
        """Wrap `finish`, having seen that views differ and that the model takes them."""
        checked_scores(job)
        inputs = job.sample(2)[0]
        shape = tuple(inputs.shape[1:])
        if not inputs.is_floating_point() or inputs.dim() < 3:
            raise NotApplicable(
                f"the inputs are {inputs.dtype} of the shape {shape}: there is no axis to shift "
                "along behind the channels, (C, T) or (C, H, W)"
            )
        shifts = self.shifts(inputs.shape[-1])
        if len(shifts) == 1 and not self.flip:
            raise NotApplicable(
                f"views={self.views} and reach={self.reach:g} of {inputs.shape[-1]} places give no"
                " other view; give more"
            )

        def wrapper(old: Finish) -> Finish:
            return lambda job, model: Views(old(job, model), shifts, self.flip)

        return job.wrap("finish", wrapper, by=self.name)

    def shifts(self, length: int) -> tuple[int, ...]:
        """Return by how many places views are shifted along an axis of `length`, 0 first."""
        far = self.reach * length
        count = self.views // 2
        steps = [round(far * k / count) for k in range(1, count + 1)] if count else []
        both = [0, *(way * step for step in steps for way in (1, -1))]
        return tuple(dict.fromkeys(both[: self.views]))


class Views(nn.Module):
    """A model that answers with the mean over views of its first input."""

    def __init__(self, model: nn.Module, shifts: tuple[int, ...], flip: bool) -> None:
        super().__init__()
        self.model, self.shifts, self.flip = model, shifts, flip

    def forward(self, inputs: Tensor, *others: Any, **named: Any) -> Tensor:
        """Return the mean of the answers."""
        shifted = [torch.roll(inputs, shift, -1) if shift else inputs for shift in self.shifts]
        views = [*shifted, *(view.flip(-1) for view in shifted)] if self.flip else shifted
        return mean_of([self.model(view, *others, **named) for view in views])
