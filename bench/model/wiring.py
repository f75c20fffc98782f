"""See that channels which are left after some were cut are read by what read them before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from bench.batches import Outputs
from bench.errors import NotApplicable
from bench.model.copies import copied
from bench.model.differences import difference
from bench.model.nested import tensors_in
from bench.model.outputs import FAILURES

MOVES = frozenset({
    "Transpose", "Permute", "Flip", "Roll", "Slice", "Index", "IndexSelect", "Gather", "Select",
    "Unbind", "Unfold", "AsStrided", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle",
    "NativeChannelShuffle", "Repeat",
})  # fmt: skip
"""Operators that may put channels in other places, as autograd names them."""
FAR = 0.02
"""How far, relatively, answers are apart where channels are read by others."""
MOST_NUMBERS = 2**24
"""Whole numbers that float32 tells apart; weights are them divided by it, so that none is large."""
WIDE = (torch.float32, torch.float64)
Inputs = tuple[object, ...]
Cut = Callable[[nn.Module], None]
"""Cuts channels of a model in place."""


def misread(model: nn.Module, inputs: Inputs, cut: Cut) -> str | None:
    """Return which operators moved channels, where a cut model answers otherwise for it.

    A model whose cut weights are zero, and the cut one, are to answer alike. Which weights are left
    is read from a cut model whose weights are numbered. None where all is well, or can't be told.
    """
    numbered, weights = copied(model), dict(model.named_parameters())
    if any(p.numel() > MOST_NUMBERS or p.dtype not in WIDE for p in weights.values()):
        return None
    draw = torch.Generator().manual_seed(0)
    orders = {name: torch.randperm(p.numel(), generator=draw) for name, p in weights.items()}
    with torch.no_grad():
        for name, weight in numbered.named_parameters():
            weight.copy_((orders[name].view(weight.shape) + 1) / MOST_NUMBERS)
    whole = copied(model)
    try:
        cut(numbered)
        _fill(numbered, whole, {name: order.argsort() for name, order in orders.items()}, draw)
        found, wanted = (_answer(_plain(one), inputs, seed=0) for one in (numbered, whole))
    except (NotApplicable, *FAILURES):  # what a model says to such weights
        return None
    if found.shape != wanted.shape or difference(wanted, found) <= FAR:
        return None
    return ", ".join(sorted(MOVES & {*_operators(wanted)})) or None


def _fill(
    numbered: nn.Module, whole: nn.Module, places: Mapping[str, Tensor], draw: torch.Generator
) -> None:  # fmt: skip
    """Give both models the same random weights: the numbered one those that it still has."""
    left = dict(numbered.named_parameters())
    with torch.no_grad():
        for name, weight in whole.requires_grad_(True).named_parameters():
            fan = weight[0].numel() if weight.dim() > 1 else 1
            small = 0.1 if name.endswith("bias") else 1.0  # what is added hides what is multiplied
            drawn = torch.randn(weight.numel(), generator=draw) * small / fan**0.5
            numbers = (left[name].detach().cpu().flatten() * MOST_NUMBERS).round().long()
            kept = places[name][numbers - 1]
            only = torch.zeros(weight.numel())
            only[kept] = 1
            left[name].copy_(drawn[kept].view(left[name].shape))
            weight.copy_((drawn * only).view(weight.shape))


def _answer(model: nn.Module, inputs: Inputs, seed: int) -> Tensor:
    """Return all numbers that a model answers to inputs like those given, of other values."""
    draw = torch.Generator().manual_seed(seed)
    other = [
        torch.randn(x.shape, generator=draw).to(x)
        if isinstance(x, Tensor) and x.is_floating_point() else x
        for x in inputs
    ]  # fmt: skip
    with torch.enable_grad():
        parts = [x.flatten() for x in tensors_in(model.eval()(*other)) if x.is_floating_point()]
    return torch.cat(parts)


def _plain(model: nn.Module) -> nn.Module:
    """Let norms over channels scale and shift alone: fewer channels have other statistics."""
    for module in model.modules():
        if isinstance(module, nn.LayerNorm | nn.GroupNorm | nn.RMSNorm):
            module.forward = _scaling(module)  # type: ignore[assignment]  # of a copy
    return model


def _scaling(norm: nn.Module) -> Callable[[Tensor], Outputs]:
    def forward(x: Tensor) -> Outputs:
        shape = (-1, *[1] * (x.dim() - 2)) if isinstance(norm, nn.GroupNorm) else None
        for name, change in (("weight", torch.mul), ("bias", torch.add)):
            own = getattr(norm, name, None)
            if own is not None:
                x = change(x, own if shape is None else own.view(shape))
        return x

    return forward


def _operators(answer: Tensor) -> Iterator[str]:
    """Yield the names of the operators that a tensor was made by."""
    waiting, seen = [answer.grad_fn], set[object]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node.name().partition("Backward")[0]
        waiting += [following for following, _ in node.next_functions]
