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

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import nn

from bench.errors import NotApplicable
from bench.interception.script import Script
from bench.interception.writing import Writing
from bench.job import Job
from bench.model.strided_convolutions import refuse_at_risk, sample_before_striding
from bench.records.plain_loop import PlainLoop
from bench.technique import PASSES, Effect, Parts, Stage, Technique


class ChannelsLast(Technique):
    """Lay out the weights of 2D convolutions channels last."""

    name: ClassVar[str] = "channels-last"
    stage: ClassVar[Stage] = Stage.MODEL
    effect: ClassVar[Effect] = Effect.ROUNDING
    touches: ClassVar[Parts | None] = PASSES

    def apply(self, job: Job) -> Job:
        """Change the layout of the model's four-dimensional weights in place."""
        _check_layers([job.model])
        if job.device.type == "cpu":
            sample_before_striding(job.model)
        _lay_out(job.model)
        return job.wrap("model", lambda model: model, by=self.name)

    def intercept(self, script: Script) -> None:
        """Lay out the weights of each trained model that has 2D convolutions."""

        def change(model: nn.Module) -> None:
            if script.device.type == "cpu":
                refuse_at_risk(model)
            seen.append(model)
            before.update({id(layer): is_channels_last(layer.weight) for layer in layers_of(model)})
            _lay_out(model)

        def check() -> None:
            _check_layers(seen, before)

        seen, before = list[nn.Module](), dict[int, bool]()
        script.each_model(change, by=self.name)
        script.at_end(check)

    def write(self, script: Writing) -> None:
        """Lay out each such model once its optimizer was made."""
        script.each_model(
            lambda model: _line(model, "{model}") if layers_of(model) else None, "import torch",
            by=self.name,
        )  # fmt: skip

    def write_loop(self, loop: PlainLoop, job: Job) -> None:
        """Lay out the model before it is trained."""
        if loop.device == "cpu":
            refuse_at_risk(job.model)
        loop.add("model", _line(job.model, "model"), by=self.name)


def layers_of(model: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    """Return the 2D convolutions of a model."""
    return [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


def _lay_out(model: nn.Module) -> None:
    """Change a model in place: whole, or, where a tensor of it has 5 dims, by its 2D layers."""
    for part in layers_of(model) if _has_volumes(model) else [model]:
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's


def _line(model: nn.Module, name: str) -> str:
    if _has_volumes(model):
        raise NotApplicable(
            "the model has tensors of 5 dims too, for which torch has no line that lays out the "
            "others: bench train does"
        )
    return f"{name}.to(memory_format=torch.channels_last)"


def _has_volumes(model: nn.Module) -> bool:
    return any(tensor.dim() == 5 for tensor in (*model.parameters(), *model.buffers()))


def _check_layers(models: Sequence[nn.Module], before: Mapping[int, bool] | None = None) -> None:
    """Raise `NotApplicable` where there is nothing to lay out; `before`: which were, by id."""
    layers = [layer for model in models for layer in layers_of(model)]
    if not layers:
        raise NotApplicable("the model has no Conv2d: the layout is one of 2D images")
    known = {id(layer): is_channels_last(layer.weight) for layer in layers}
    if all((before or known).values()):
        raise NotApplicable(f"all {len(layers)} 2D convolutions are channels last already")


def is_channels_last(weight: torch.Tensor) -> bool:
    """Tell whether a weight ``(O, I, H, W)`` lies in memory channels last."""
    return weight.is_contiguous(memory_format=torch.channels_last)
