"""Quantization: deploy the trained model in 8-bit integers, or in bfloat16.

What:    after training the model is converted. static: weights and activations in int8, their
         ranges taken from batches of the training part (calibration). dynamic: linear layers in
         int8, activations' ranges found at each call. bf16: weights and arithmetic in bfloat16.
         Training itself is as it was; what is measured of the converted model is its quality, its
         latency and throughput, and the size of its file.
Helps:   inference: convolutional nets (static), large linear layers on CPUs (dynamic), devices with
         16-bit units (bf16); files of a quarter or half the size.
Hurts:   quality, where activations have outliers; models that torch.fx can't trace (static). int8
         runs on CPUs alone and rests on torch.ao.quantization, which torch means to replace.
Effect:  model.
Source:  Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-
         Arithmetic-Only Inference, CVPR 2018; documentation of torch.ao.quantization.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from bench.errors import NotApplicable
from bench.job import Job, Progress
from bench.model.hooks import listening
from bench.technique import Effect, Stage, Technique

Inputs = tuple[Any, ...]


class Quantization(Technique):
    """Convert the trained model."""

    name: ClassVar[str] = "quantization"
    stage: ClassVar[Stage] = Stage.MODEL
    effect: ClassVar[Effect] = Effect.MODEL

    mode: Literal["static", "dynamic", "bf16"] = Field(
        "static", description="int8 with calibration, int8 of linear layers, or bfloat16"
    )
    calibration_batches: int = Field(
        8, ge=1, description="training batches that ranges are taken from (static)"
    )

    def apply(self, job: Job) -> Job:
        """Convert a copy, so that a refusal comes before training; then wrap `finish`."""
        if self.mode != "bf16" and job.device.type != "cpu":
            raise NotApplicable("int8 runs on CPUs alone: here use mode=bf16")
        self._converted(job.model, [job.sample(2)], rough=True)
        return job.wrap("finish", self._finish, by=self.name)

    def _finish(
        self, old: Callable[[Job, nn.Module], nn.Module]
    ) -> Callable[[Job, nn.Module], nn.Module]:
        def finish(job: Job, model: nn.Module) -> nn.Module:
            trained = old(job, model)
            if self.mode != "static":
                return self._converted(trained, [job.sample(2)])
            batches = self.calibration_batches
            return self._converted(trained, _training_inputs(job, trained, batches))

        return finish

    def _converted(self, model: nn.Module, inputs: list[Inputs], rough: bool = False) -> nn.Module:
        """Return a converted copy that works on the first inputs; raise `NotApplicable` if none."""
        plain = copy.deepcopy(model).eval()
        try:
            with torch.no_grad():
                made = CONVERSIONS[self.mode](plain, inputs, rough)
                made(*inputs[0])
        except (NotApplicable, torch.OutOfMemoryError):
            raise
        except Exception as error:  # tracing and conversion raise anything
            said = (str(error).strip().splitlines() or [""])[0][:120]
            raise NotApplicable(
                f"mode={self.mode} can't convert this model: {type(error).__name__}: {said}"
            ) from error
        return made


def _training_inputs(job: Job, model: nn.Module, batches: int) -> list[Inputs]:
    """Return what the model is called with in the loss of some training batches."""
    with torch.no_grad(), listening(model.eval()) as heard:
        for batch in itertools.islice(job.batches(Progress(job.epochs)), batches):
            job.loss(model, batch)
    if not heard.calls:
        raise NotApplicable("the loss never calls the model's forward: nothing to calibrate with")
    return [args for args, _ in heard.calls]


def _static(model: nn.Module, inputs: list[Inputs], rough: bool) -> nn.Module:
    from torch.ao import quantization as ao
    from torch.ao.quantization import quantize_fx

    engine = torch.backends.quantized.engine
    if engine == "none":
        raise NotApplicable("this torch has no int8 kernels for this machine")
    mapping = ao.get_default_qconfig_mapping(engine)
    if rough:  # ranges by their ends instead of a search, which takes a second or more
        mapping = ao.QConfigMapping().set_global(ao.default_qconfig)
    observed = quantize_fx.prepare_fx(model, mapping, inputs[0])
    for one in inputs:
        observed(*one)
    return _checked(quantize_fx.convert_fx(observed), "convolution or linear layer")


def _dynamic(model: nn.Module, inputs: list[Inputs], rough: bool) -> nn.Module:
    from torch.ao.quantization import quantize_dynamic

    made = quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)  # type: ignore[no-untyped-call]  # torch's
    return _checked(made, "linear layer")


def _checked(made: nn.Module, what: str) -> nn.Module:
    """Refuse a model in which nothing was quantised."""
    if not any("quantized" in type(module).__module__ for module in made.modules()):
        raise NotApplicable(f"the model has no {what} that could be quantised")
    return made


def _bf16(model: nn.Module, inputs: list[Inputs], rough: bool) -> nn.Module:
    """Cast the model; its inputs are cast on the way in, its outputs to float32 on the way out."""
    if not any(p.dtype is torch.float32 for p in model.parameters()):
        raise NotApplicable("the model has no float32 weights to cast")
    model.register_forward_pre_hook(_into_bf16)
    model.register_forward_hook(_into_float32)
    return model.to(torch.bfloat16)


def _into_bf16(model: nn.Module, inputs: Inputs) -> Inputs:
    return tuple(tree_map(lambda x: _cast(x, torch.float32, torch.bfloat16), inputs))


def _into_float32(model: nn.Module, inputs: Inputs, output: Any) -> Any:
    return tree_map(lambda x: _cast(x, torch.bfloat16, torch.float32), output)


def _cast(x: Any, old: torch.dtype, new: torch.dtype) -> Any:
    return x.to(new) if isinstance(x, Tensor) and x.dtype is old else x


CONVERSIONS: dict[str, Callable[[nn.Module, list[Inputs], bool], nn.Module]] = {
    "static": _static, "dynamic": _dynamic, "bf16": _bf16,
}  # fmt: skip
