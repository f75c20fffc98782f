"""Mixed precision: run the forward pass in 16-bit arithmetic where that is safe.

What:    autocast around the loss: matrix products and convolutions in bfloat16 (or float16 with a
         gradient scaler, on CUDA), reductions and weights in float32.
Helps:   convolutions and large matrix products on hardware with 16-bit units; activations take
         half the memory.
Hurts:   small or pointwise-bound models (casts cost more than they save), recurrent layers on CPU,
         losses that need more than 8 bits of mantissa.
Effect:  rounding.
Source:  Micikevicius et al., Mixed Precision Training, ICLR 2018; torch.amp documentation.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from bench.batches import Batch, Outputs
from bench.errors import NotApplicable
from bench.interception.calls import Call
from bench.interception.scaling import Scaling
from bench.interception.script import Script
from bench.interception.writing import Writing
from bench.job import Job
from bench.machine.device import has_bf16
from bench.model.compiled import is_compiled
from bench.model.module_state import ModuleState
from bench.model.nested import cast, tensors_in
from bench.model.outputs import objection
from bench.model.scaled_updates import scaled_update
from bench.random_state import undisturbed
from bench.records.plain_loop import PlainLoop
from bench.technique import PASSES, Effect, Parts, Stage, Technique

WRITTEN = '''
import dataclasses

import torch
from torch.utils._pytree import tree_map


def in_mixed_precision(model):
    """Call a model under autocast where it is trained; its answers are float32 again."""

    def float32(one):
        if isinstance(one, torch.Tensor):
            return one.float() if one.dtype == {dtype} else one
        if not dataclasses.is_dataclass(one):
            return one
        names = (field.name for field in dataclasses.fields(one) if field.init)
        return dataclasses.replace(
            one, **{{name: tree_map(float32, getattr(one, name)) for name in names}}
        )

    def call(*args, **kwargs):
        if not torch.is_grad_enabled():
            return model(*args, **kwargs)
        with torch.autocast({device!r}, {dtype}):
            answer = model(*args, **kwargs)
        return tree_map(float32, answer)

    return call
'''


class MixedPrecision(Technique):
    """Autocast, with a gradient scaler where float16 needs one."""

    name: ClassVar[str] = "mixed-precision"
    stage: ClassVar[Stage] = Stage.PRECISION
    effect: ClassVar[Effect] = Effect.ROUNDING
    rounding: ClassVar[float] = 1e-2
    touches: ClassVar[Parts | None] = PASSES

    precision: Literal["bf16", "fp16"] = Field(
        "bf16", description="16-bit format; fp16: CUDA only",
        json_schema_extra={"range": ["bf16", "fp16"]},
    )  # fmt: skip

    def caution(self, device: str) -> str | None:
        """Say where 16-bit arithmetic is made of 32-bit arithmetic."""
        if device != "cpu" or has_bf16():
            return None
        return (
            f"{self.name}: this CPU has no bf16 instructions, and computes them by others: on one "
            "like it a small transformer trained 13 times slower"
        )

    def apply(self, job: Job) -> Job:
        """Wrap `loss` and `item_losses`; for fp16 also `backward` and `update`."""
        kind = job.device.type
        dtype = self._dtype(kind)
        self._check(job, dtype)
        parts = ("loss",) if job.item_losses is None else ("loss", "item_losses")
        for part in parts:
            job = job.wrap(part, lambda old: _autocast(old, kind, dtype), by=self.name)
        return self._scaled(job) if self.precision == "fp16" else job

    def intercept(self, script: Script) -> None:
        """Call trained models under autocast; their answers are float32 again, as losses want."""
        dtype, seen = self._dtype(script.device.type), Counter[str]()

        def wrapper(model: nn.Module, call: Call) -> Call:
            return _cast_around(model, call, script, dtype, seen)

        def check() -> None:
            if script.rehearsed and not seen["gained"]:
                say = _already if seen["found"] else _nothing
                raise NotApplicable(say(self.precision))

        script.around_training(wrapper, by=self.name)
        if self.precision == "fp16":
            Scaling(script, by=self.name)
        script.at_end(check)

    def write(self, script: Writing) -> None:
        """Call trained models under autocast; fp16 also needs what no line can be."""
        if self.precision == "fp16":
            raise NotApplicable(
                "fp16's scaler stands in no line: bench train runs it as it was measured"
            )
        dtype = self._dtype(script.device.type)
        lines = WRITTEN.format(device=script.device.type, dtype=dtype)
        script.around_calls("in_mixed_precision", lines, by=self.name)

    def write_loop(self, loop: PlainLoop, job: Job) -> None:
        """Compute the loss under autocast; fp16: scale it, and unscale before the update."""
        dtype = self._dtype(loop.device)
        self._check(job, dtype)
        loop.around.append(f"torch.autocast({loop.device!r}, {dtype})")
        if self.precision == "fp16":
            loop.add("optimizer", f"scaler = torch.amp.GradScaler({loop.device!r})", by=self.name)
            loop.backward = "scaler.scale(loss).backward()"
            loop.add("update", "scaler.unscale_(optimizer)", by=self.name)
            loop.step = "scaler.step(optimizer)"
            loop.add("updated", "scaler.update()", by=self.name)

    def _dtype(self, kind: str) -> torch.dtype:
        """Return the 16-bit format; raise `NotApplicable` where the device has none such."""
        if self.precision == "fp16" and kind != "cuda":
            raise NotApplicable("fp16 needs CUDA: on the CPU use precision=bf16")
        if self.precision == "bf16" and kind == "cuda" and not torch.cuda.is_bf16_supported():
            raise NotApplicable("this GPU has no bfloat16: use precision=fp16")
        return torch.bfloat16 if self.precision == "bf16" else torch.float16

    def _check(self, job: Job, dtype: torch.dtype) -> None:
        """Raise `NotApplicable` where the model's pass fails in this format, or has none of it."""
        sample = job.sample(2)
        if objection(job, sample) is not None:
            return  # whatever the loss calls, it is not this
        with undisturbed(job.device), _Uncompiled() as plain:
            objection(job, sample)
        with undisturbed(job.device), torch.autocast(job.device.type, dtype), _Uncompiled() as seen:
            said = objection(job, sample)
        if said is not None:
            raise NotApplicable(f"the model does not run in {self.precision} here: {said[:120]}")
        if not seen.found[dtype]:
            raise NotApplicable(_nothing(self.precision))
        if seen.found[dtype] <= plain.found[dtype]:
            raise NotApplicable(_already(self.precision))

    def _scaled(self, job: Job) -> Job:
        scaler = torch.amp.GradScaler(job.device.type)

        def scale_backward(old: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
            return lambda loss: old(scaler.scale(loss))

        job = job.wrap("backward", scale_backward, by=self.name)
        return job.wrap("update", lambda old: scaled_update(old, scaler), by=self.name)


class _Formats(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts in which formats tensors are computed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found = Counter[torch.dtype]()

    def __torch_dispatch__(
        self, func: Callable[..., object], types: Sequence[type], args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:  # fmt: skip
        made = func(*args, **(kwargs or {}))
        self.found.update(part.dtype for part in tensors_in(made))
        return made


def _nothing(precision: str) -> str:
    return (
        f"nothing of the model is computed in {precision}: it has no product and no convolution of "
        "float32 numbers"
    )


def _already(precision: str) -> str:
    return (
        f"the model computes in {precision} already: its weights have 16 bits, or it has an "
        "autocast of its own"
    )


class _Uncompiled(_Formats):  # type: ignore[no-untyped-call]  # as above
    """The same where nothing is compiled: to keep its compiler out, torch would import it."""

    __torch_dispatch__ = inspect.unwrap(_Formats.__torch_dispatch__)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


def _cast_around(
    model: nn.Module, call: Call, script: Script, dtype: torch.dtype, seen: Counter[str]
) -> Call:
    kind = script.device.type

    def cast_back(*args: object, **kwargs: object) -> Outputs:
        if torch.is_autocast_enabled(kind):
            script.end(NotApplicable("the script calls its model under autocast already"))
        if not script.rehearsed or seen["gained"]:
            with torch.autocast(kind, dtype):
                return cast(call(*args, **kwargs), dtype, torch.float32)
        with ModuleState(model).again(), undisturbed(script.device), _Formats() as plain:
            call(*args, **kwargs)
        with torch.autocast(kind, dtype), _Formats() as formats:
            answer = call(*args, **kwargs)
        seen["found"] += formats.found[dtype]
        seen["gained"] += max(0, formats.found[dtype] - plain.found[dtype])
        return cast(answer, dtype, torch.float32)

    return cast_back


def _autocast(
    old: Callable[[nn.Module, Batch], Tensor], kind: str, dtype: torch.dtype
) -> Callable[[nn.Module, Batch], Tensor]:
    checked = False

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        nonlocal checked
        with torch.autocast(kind, dtype), nullcontext() if checked else _no_other_around(model):
            checked = True
            return old(model, batch)

    return loss


@contextmanager
def _no_other_around(model: nn.Module) -> Iterator[None]:
    """Raise `NotApplicable` where a model is called within another autocast than the one here."""
    outer = _depth()

    def check(module: nn.Module, args: object) -> None:
        if module is model and _depth() > outer:
            raise NotApplicable("the loss calls its model under an autocast of its own")

    handle = None if is_compiled(model) else register_module_forward_pre_hook(check)
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def _depth() -> int:
    """Return how many autocasts are around."""
    torch.autocast_increment_nesting()
    return torch.autocast_decrement_nesting()
