"""Channels last: keep images in memory pixel by pixel, as fast convolution kernels want them.

What:    the weights of 2D convolutions are laid out as (N, H, W, C); convolutions pass that layout
         on to their outputs. Shapes, values and the model's code stay as they are. On the CPU a 1x1
         convolution of 2 to 7 channels with a stride is given only the places that it reads: as it
         is, oneDNN's backward pass damages memory on machines with AVX2.
Helps:   2D convolutional nets, most with 16-bit arithmetic (tensor cores, oneDNN).
Hurts:   models that view or transpose activations between layers, where each such place copies.
Effect:  rounding.
Source:  PyTorch, Channels Last Memory Format in PyTorch (tutorial); oneDNN, memory format
         propagation.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from bench.errors import NotApplicable
from bench.job import Job
from bench.model.strided_convolutions import sample_before_striding
from bench.technique import PASSES, Effect, Parts, Stage, Technique


class ChannelsLast(Technique):
    """Lay out the weights of 2D convolutions channels last."""

    name: ClassVar[str] = "channels-last"
    stage: ClassVar[Stage] = Stage.MODEL
    effect: ClassVar[Effect] = Effect.ROUNDING
    touches: ClassVar[Parts | None] = PASSES

    def apply(self, job: Job) -> Job:
        """Change the layout of the model's four-dimensional weights in place."""
        layers = [m for m in job.model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        if not layers:
            raise NotApplicable("the model has no Conv2d: the layout is one of 2D images")
        if all(is_channels_last(layer.weight) for layer in layers):
            raise NotApplicable(f"all {len(layers)} 2D convolutions are channels last already")
        if job.device.type == "cpu":
            sample_before_striding(job.model)
        job.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's
        return job.wrap("model", lambda model: model, by=self.name)


def is_channels_last(weight: torch.Tensor) -> bool:
    """Tell whether a weight ``(O, I, H, W)`` lies in memory channels last."""
    return weight.is_contiguous(memory_format=torch.channels_last)
