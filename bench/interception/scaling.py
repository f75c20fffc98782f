"""Scale a script's losses, so that gradients in float16 don't vanish, where that is surely right.

Every backward pass begins at the loss times a power of two, and every weight's gradient is divided
by it on its way into ``.grad``, before the script can see it: what it accumulates, clips or prints
are the true gradients. A step of an optimizer whose gradients overflowed is left out, and the scale
halved, as `torch.amp.GradScaler` does. What else could see a scaled gradient is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.errors import NotApplicable
from bench.interception.patches import Patches
from bench.interception.script import Script

FIRST, GROWN_AFTER = 2.0**16, 2000
"""The first scale, and the steps without an overflow after which it doubles: GradScaler's."""


@dataclass
class Scaling:
    """Scales the losses of a script; `by`: the technique that asks for it."""

    script: Script
    by: str
    scale: float = FIRST
    _seen: set[int] = field(default_factory=set)
    """Weights whose gradients are divided."""
    _overflowed: dict[int, Tensor] = field(default_factory=dict)
    """By optimizer: whether a gradient since its last step was not finite."""
    _clean: int = 0

    def __post_init__(self) -> None:
        """Ask the script for what it takes."""
        self.script.scaling = self
        self.script.each_model(self._divide, by=self.by)
        self.script.throughout(self._guarded)

    def scaled(
        self, tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None,
        create_graph: bool = False, grad_variables: Any = None, inputs: Any = None,
    ) -> Any:  # fmt: skip
        """Return what a backward pass is to begin at; it is given what the pass is."""
        one = tensors[0] if isinstance(tensors, (list, tuple)) and len(tensors) == 1 else tensors
        if not isinstance(one, Tensor) or one.numel() != 1:
            self._refuse("a backward pass begins at no single number")
        if grad_tensors is not None or grad_variables is not None or inputs is not None:
            self._refuse("a backward pass is given gradients, or inputs")
        if create_graph:
            self._refuse("a backward pass makes a graph of its own (create_graph)")
        if self.script.rehearsed:
            self._check_graph(one)
        self._forget_zeroed()
        return one * self.scale

    def settle(self) -> None:
        """Note, without waiting for the device, which optimizers' gradients overflowed."""
        for optimizer in self.script.optimizers:
            grads = gradients_of(optimizer)
            if not grads:
                continue
            bad = ~torch.stack(torch._foreach_norm(grads)).isfinite().all()
            known = self._overflowed.get(id(optimizer))
            self._overflowed[id(optimizer)] = bad if known is None else known | bad

    def _forget_zeroed(self) -> None:
        """Forget overflows whose gradients were zeroed since, as those of a generator in a critic.

        This, too, does not wait for the device.
        """
        for optimizer in self.script.optimizers:
            if (known := self._overflowed.pop(id(optimizer), None)) is not None:
                left = _is_any_left(optimizer)
                if left is not None:
                    self._overflowed[id(optimizer)] = known & left

    def before_step(self, optimizer: Optimizer, args: Sequence[Any], kwargs: Any) -> None:
        """Leave a step out where its gradients overflowed: without gradients nothing changes."""
        if len(args) > 1 or kwargs:
            self._refuse("an optimizer is given a closure, which asks for the loss within its step")
        weights = [p for group in optimizer.param_groups for p in group["params"]]
        if any(p.grad is not None and id(p) not in self._seen for p in weights):
            self._refuse("an optimizer changes what is no weight of a trained model")
        bad = self._overflowed.pop(id(optimizer), None)
        if bad is not None and bool(bad) and _is_any_left(optimizer):
            self.scale, self._clean = self.scale / 2, 0
            for weight in weights:
                weight.grad = None
            return
        self._clean += 1
        if self._clean % GROWN_AFTER == 0:
            self.scale *= 2

    def _divide(self, model: nn.Module) -> None:
        """Let the gradients of a model's weights be divided."""
        for name, part in model.named_modules():
            hooks = part._backward_hooks or part._backward_pre_hooks
            if hooks:
                raise NotApplicable(f"{name or 'the model'} has hooks that see gradients")
        for name, weight in model.named_parameters():
            if not weight.requires_grad or id(weight) in self._seen:
                continue
            if weight.dtype != torch.float32:
                raise NotApplicable(f"{name} is {weight.dtype}: float16 is for weights of float32")
            if weight._backward_hooks:
                raise NotApplicable(f"{name} has a hook that sees its gradient")
            self._seen.add(id(weight))
            weight.register_hook(self._divided)  # type: ignore[no-untyped-call]  # torch's

    def _divided(self, gradient: Tensor) -> Tensor:
        return gradient / self.scale

    def _check_graph(self, loss: Tensor) -> None:
        """Refuse where a gradient would arrive, scaled, at something else than a seen weight."""
        todo, known = [loss.grad_fn], set[object]()
        while todo:
            node = todo.pop()
            if node is None or node in known:
                continue
            known.add(node)
            leaf = getattr(node, "variable", None)
            if leaf is not None and id(leaf) not in self._seen:
                self._refuse("a gradient goes to what is no weight of a trained model")
            todo += [further for further, _ in node.next_functions]

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Refuse what asks for gradients without a backward pass, and a scaler of the script's."""

        def grad(*args: Any, **kwargs: Any) -> NoReturn:
            self._refuse("the script asks for gradients by torch.autograd.grad")

        scale = torch.amp.GradScaler.scale

        def own(scaler: torch.amp.GradScaler, outputs: Any) -> Any:
            if scaler.is_enabled():
                self._refuse("the script scales its losses itself")
            return scale(scaler, outputs)

        with Patches() as patches:
            patches.replace(torch.autograd, "grad", grad)
            patches.replace(torch.amp.GradScaler, "scale", own)
            yield

    def _refuse(self, why: str) -> NoReturn:
        self.script.end(NotApplicable(f"{self.by}: no scaler can be placed right: {why}"))


def gradients_of(optimizer: Optimizer) -> list[Tensor]:
    """Return the gradients that an optimizer's weights have."""
    weights = (weight for group in optimizer.param_groups for weight in group["params"])
    return [weight.grad for weight in weights if weight.grad is not None]


def _is_any_left(optimizer: Optimizer) -> Tensor | None:
    """Return whether any gradient is not zero; None where there are none."""
    grads = gradients_of(optimizer)
    return torch.stack(torch._foreach_norm(grads)).ne(0).any() if grads else None
