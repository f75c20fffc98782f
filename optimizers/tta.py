"""Test-time augmentation: ask the model about several views of an input, and average its answers.

What:    the deployed model answers with the mean of its outputs on the input as it is and shifted
         a little, around its end, along the last axis (of pictures the width, of signals and
         spectrograms the time); with `window`, on parts of it, evenly spread; with `flip`, on
         either mirrored along that axis too. Training is as before.
Helps:   quality, where what is looked for may stand anywhere; the fewer items, the more. Windows
         suit nets that were trained on windows (sequence-reduction with until=1).
Hurts:   inference, which takes as many times longer as there are views; inputs whose place or
         direction along that axis means something.
Effect:  model: the same weights, another function at inference.
Source:  Krizhevsky et al., ImageNet Classification with Deep CNNs, NeurIPS 2012, section 4.1; Wang
         et al., Aleatoric Uncertainty Estimation with Test-Time Augmentation, 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from bench.batches import Outputs, inputs_of, with_inputs
from bench.errors import NotApplicable
from bench.job import Job
from bench.model.outputs import check_alone, checked_scores, mean_of, objection
from bench.technique import Effect, Parts, Stage, Technique

Finish = Callable[[Job, nn.Module], nn.Module]


class TestTimeAugmentation(Technique):
    """Deploy the mean over views."""

    __test__: ClassVar[bool] = False  # pytest takes a class of this name for tests

    name: ClassVar[str] = "tta"
    stage: ClassVar[Stage] = Stage.DEPLOY
    effect: ClassVar[Effect] = Effect.MODEL
    touches: ClassVar[Parts | None] = Parts()

    views: int = Field(
        5, ge=1, le=64, description="shifts, evenly spread, no shift among them; or windows"
    )
    reach: float = Field(
        0.1, gt=0, le=0.5, description="the farthest shift either way, as a share of the axis"
    )
    window: float | None = Field(
        None, gt=0, lt=1, description="look at windows of this share of the axis, not at shifts"
    )
    flip: bool = Field(False, description="ask about each view mirrored, too")

    @model_validator(mode="after")
    def _one_kind_of_view(self) -> Self:
        if self.window is not None and self.reach != type(self).model_fields["reach"].default:
            raise ValueError("windows go from end to end: give window or reach, not both")
        return self

    def apply(self, job: Job) -> Job:
        """Wrap `finish`, having seen that views differ and that the model takes them."""
        checked_scores(job)
        sample = job.sample(2)
        inputs = inputs_of(sample)
        shape = tuple(inputs.shape[1:])
        if not inputs.is_floating_point() or inputs.dim() < 3:
            raise NotApplicable(
                f"the inputs are {inputs.dtype} of the shape {shape}: there is no axis to shift "
                "along behind the channels, (C, T) or (C, H, W)"
            )
        starts, width = self.places(inputs.shape[-1])
        far = max(map(abs, starts)) if width is None else inputs.shape[-1] - width
        check_alone(sample, inputs, [-1], inputs.shape[-1] - far)
        windows = with_inputs(sample, inputs[..., :width])
        if width is not None and (said := objection(job, windows)):
            raise NotApplicable(
                f"the model takes no windows of {width} places, of {inputs.shape[-1]}: {said}"
            )
        if len(starts) == 1 and width is None and not self.flip:
            raise NotApplicable(
                f"views={self.views} and reach={self.reach:g} of {inputs.shape[-1]} places give no"
                " other view; give more"
            )

        def wrapper(old: Finish) -> Finish:
            return lambda job, model: Views(old(job, model), starts, self.flip, width)

        return job.wrap("finish", wrapper, by=self.name)

    def places(self, length: int) -> tuple[tuple[int, ...], int | None]:
        """Return where windows on an axis of `length` begin, and their width; or shifts, 0 first.

        Of shifts, the width is None.
        """
        if self.window is None:
            return self._shifts(length), None
        width = max(1, round(self.window * length))
        last = max(1, self.views - 1)
        starts = (round((length - width) * k / last) for k in range(self.views))
        return tuple(dict.fromkeys(starts)), width

    def _shifts(self, length: int) -> tuple[int, ...]:
        far = self.reach * length
        count = self.views // 2
        steps = [round(far * k / count) for k in range(1, count + 1)] if count else []
        both = [0, *(way * step for step in steps for way in (1, -1))]
        return tuple(dict.fromkeys(both[: self.views]))


class Views(nn.Module):
    """A model that answers with the mean over views of its first input, shifts or windows."""

    def __init__(
        self, model: nn.Module, starts: tuple[int, ...], flip: bool, width: int | None = None
    ) -> None:
        super().__init__()
        self.model, self.starts, self.flip, self.width = model, starts, flip, width

    def forward(self, *inputs: object, **named: object) -> Outputs:
        """Return the mean of the answers to views of the first tensor, wherever it is given."""
        whole = inputs_of([inputs, named])
        views = [self._view(whole, start) for start in self.starts]
        if self.flip:
            views += [view.flip(-1) for view in views]
        calls = (with_inputs([inputs, named], view) for view in views)
        return mean_of([self.model(*args, **kwargs) for args, kwargs in calls])

    def _view(self, inputs: Tensor, start: int) -> Tensor:
        if self.width is not None:
            return inputs.narrow(-1, start, self.width)
        return torch.roll(inputs, start, -1) if start else inputs
