"""Share out a model among processes with FSDP2, and put it together again as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from bench.errors import NotApplicable, reason_of
from bench.model.copies import copied


def shared_out(
    model: nn.Module, size: int, device: torch.device
) -> Callable[[nn.Module], nn.Module]:
    """Let each of `size` processes hold a share of the weights; return what makes a whole model.

    That copies it, with all weights, names and tied weights of before; all processes have to ask.
    Raises `NotApplicable` for a model that can't be shared out.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    blank = copied(model, {id(p): _like(p, "meta") for p in model.parameters()})
    mesh = init_device_mesh(device.type, (size,))
    try:
        for block in dict.fromkeys(_blocks(model)):
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        raise NotApplicable(f"fully_shard refuses the model: {reason_of(error)}") from error
    return lambda shared: _whole(blank, shared)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of the outermost lists of layers, as far as they have weights."""
    listed = isinstance(module, nn.ModuleList | nn.Sequential)
    for child in module.children():
        if not listed or isinstance(child, nn.ModuleList):
            yield from _blocks(child)
        elif next(child.parameters(), None) is not None:
            yield child


def _like(weight: nn.Parameter, device: str) -> nn.Parameter:
    return nn.Parameter(torch.empty_like(weight, device=device), requires_grad=weight.requires_grad)


def _whole(blank: nn.Module, model: nn.Module) -> nn.Module:
    """Return the model as it was before it was shared out, with the weights of now."""
    weights = dict(model.named_parameters(remove_duplicate=False))
    buffers = dict(model.named_buffers(remove_duplicate=False))
    memo: dict[int, Tensor] = {}
    for name, empty in blank.named_parameters():
        memo[id(empty)] = nn.Parameter(_gathered(weights[name]), requires_grad=empty.requires_grad)
    for name, old in blank.named_buffers():
        memo[id(old)] = buffers[name].detach().clone()
    return copied(blank, memo).train(model.training)


def _gathered(weight: Tensor) -> Tensor:
    from torch.distributed.tensor import DTensor

    return weight.full_tensor().detach() if isinstance(weight, DTensor) else weight.detach().clone()
