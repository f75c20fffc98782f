"""Quantization: deploy the trained model in 8-bit integers, or in bfloat16.

What:    after training the model is converted. static: weights and activations in int8, their
         ranges taken from batches of the training part (calibration). dynamic: linear and
         recurrent layers in int8, activations' ranges found at each call. bf16: weights and
         arithmetic in bfloat16. A model of whose weights hardly any would change is refused.
         Training itself is as it was; what is measured of the converted model is its quality, its
         latency and throughput, and the size of its file.
Helps:   inference: convolutional nets (static), large linear layers on CPUs (dynamic), devices with
         16-bit units (bf16); files of a quarter or half the size.
Hurts:   quality, where activations have outliers; models that torch.fx can't trace (static). int8
         runs on CPUs alone and rests on torch.ao.quantization, which torch means to replace. PReLU
         stays in float32 (static): torch's in int8 answers otherwise.
Effect:  model.
Source:  Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-
         Arithmetic-Only Inference, CVPR 2018; documentation of torch.ao.quantization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.fx import config as fx_config

from bench.batches import Outputs
from bench.errors import NotApplicable
from bench.job import Job
from bench.model.calls import Call, arguments
from bench.model.copies import copied, weights_of
from bench.model.hooks import calls_in_training
from bench.model.nested import cast
from bench.model.replaced import check_replaced
from bench.random_state import undisturbed
from bench.technique import Effect, Part, Parts, Stage, Technique

DYNAMIC = {nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell, nn.RNNCell}
"""Layers that torch has in int8 with ranges found at each call."""
LEAST = 0.1
"""Share of the weights that has to be converted: with less the model is as it was."""


class Quantization(Technique):
    """Convert the trained model."""

    name: ClassVar[str] = "quantization"
    stage: ClassVar[Stage] = Stage.MODEL
    effect: ClassVar[Effect] = Effect.MODEL
    touches: ClassVar[Parts | None] = Parts({Part.INFERENCE, Part.FILE})

    mode: Literal["static", "dynamic", "bf16"] = Field(
        "static", description="int8 with calibration, int8 with ranges of each call, or bfloat16"
    )
    calibration_batches: int = Field(
        8, ge=1, description="training batches that ranges are taken from (static)"
    )

    def apply(self, job: Job) -> Job:
        """Convert a copy, so that a refusal comes before training; then wrap `finish`."""
        if self.mode != "bf16" and job.device.type != "cpu":
            raise NotApplicable("int8 runs on CPUs alone: here use mode=bf16")
        with undisturbed(job.device):
            self._converted(job.model, [arguments(job.sample(2))], rough=True)
        return job.wrap("finish", self._finish, by=self.name)

    def _finish(
        self, old: Callable[[Job, nn.Module], nn.Module]
    ) -> Callable[[Job, nn.Module], nn.Module]:
        def finish(job: Job, model: nn.Module) -> nn.Module:
            trained = old(job, model)
            if self.mode != "static":
                return self._converted(trained, [arguments(job.sample(2))])
            with undisturbed(job.device):
                calls = calls_in_training(job, trained, self.calibration_batches)
            return self._converted(trained, calls)

        return finish

    def _converted(self, model: nn.Module, calls: list[Call], rough: bool = False) -> nn.Module:
        """Return a converted copy that works on the first call; raise `NotApplicable` if none."""
        plain = copied(model).eval()
        args, kwargs = calls[0]
        try:
            with torch.no_grad():
                before = {*plain.modules()}
                made = CONVERSIONS[self.mode](plain, calls, rough)
                check_replaced(before - {*made.modules()}, lambda: made(*args, **kwargs))
        except (NotApplicable, torch.OutOfMemoryError):
            raise
        except Exception as error:  # tracing and conversion raise anything
            said = (str(error).strip().splitlines() or [""])[0][:120]
            raise NotApplicable(
                f"mode={self.mode} can't convert this model: {type(error).__name__}: {said}"
            ) from error
        return made


def _static(model: nn.Module, calls: list[Call], rough: bool) -> nn.Module:
    from torch.ao import quantization as ao
    from torch.ao.quantization import quantize_fx

    engine = torch.backends.quantized.engine
    if engine == "none":
        raise NotApplicable("this torch has no int8 kernels for this machine")
    mapping = ao.get_default_qconfig_mapping(engine)
    if rough:  # ranges by their ends instead of a search, which takes a second or more
        mapping = ao.QConfigMapping().set_global(ao.default_qconfig)
    before = weights_of(model)
    whole = ao.fx.custom_config.PrepareCustomConfig().set_non_traceable_module_classes([_InFloat])
    for module in model.modules():
        if type(module) is nn.PReLU:
            module.__class__ = _InFloat
    with _without_stack_traces():
        observed = quantize_fx.prepare_fx(model, mapping, calls[0][0], whole)
    for args, kwargs in calls:
        observed(*args, **kwargs)
    return _checked(quantize_fx.convert_fx(observed), before, "convolution or linear layer")


class _InFloat(nn.PReLU):
    """A PReLU that torch doesn't convert: by its own in int8, answers are off by 16 to 41 %."""


@contextmanager
def _without_stack_traces() -> Iterator[None]:
    """Trace without a stack for each node, for which torch.fx imports parts of the compiler."""
    before = getattr(fx_config, "do_not_emit_stack_traces", False)  # torch 2.6 has none
    fx_config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        fx_config.do_not_emit_stack_traces = before


def _dynamic(model: nn.Module, calls: list[Call], rough: bool) -> nn.Module:
    from torch.ao.quantization import quantize_dynamic

    before = weights_of(model)
    made = quantize_dynamic(model, DYNAMIC, inplace=True)  # type: ignore[no-untyped-call]  # torch's
    return _checked(made, before, "linear or recurrent layer")


def _checked(made: nn.Module, before: int, what: str) -> nn.Module:
    """Refuse a model in which nothing was quantised, or hardly anything: of `before` weights."""
    if not any("quantized" in type(module).__module__ for module in made.modules()):
        raise NotApplicable(f"the model has no {what} that could be quantised")
    left = weights_of(made)
    if left > (1 - LEAST) * before:
        kept = sorted({type(m).__name__ for m in made.modules() if [*m.parameters(recurse=False)]})
        raise NotApplicable(
            f"{left:,} of {before:,} weights would stay as they are: those of {', '.join(kept)}"
        )
    return made


def _bf16(model: nn.Module, calls: list[Call], rough: bool) -> nn.Module:
    """Cast the model; its inputs are cast on the way in, its outputs to float32 on the way out.

    Complex numbers stay as they are: as real ones they would lose their imaginary part.
    """
    if not any(p.dtype is torch.float32 for p in model.parameters()):
        raise NotApplicable("the model has no float32 weights to cast")
    model.register_forward_pre_hook(_into_bf16, with_kwargs=True)
    model.register_forward_hook(_into_float32)
    return model.bfloat16()


def _into_bf16(model: nn.Module, *call: object) -> Outputs:
    return cast(call, torch.float32, torch.bfloat16)


def _into_float32(model: nn.Module, inputs: object, output: Outputs) -> Outputs:
    return cast(output, torch.bfloat16, torch.float32)


CONVERSIONS: dict[str, Callable[[nn.Module, list[Call], bool], nn.Module]] = {
    "static": _static, "dynamic": _dynamic, "bf16": _bf16,
}  # fmt: skip
