"""Low rank: put two thin linear layers in the place of a wide one.

What:    the weight of each linear layer is factorised by its singular values, W = U V, and both
         factors go on training for the epochs that are left: no epoch is added. Layers whose weight
         the model shares, watches or reads itself are left as they are.
Helps:   wide linear layers (transformers' feed-forward parts, classifiers of large features).
Hurts:   quality, where the rank is too small; narrow layers, where a second call costs more than
         the arithmetic saved. FLOPs of a step are told of the model before the factorisation.
Effect:  model.
Source:  Denton et al., Exploiting Linear Structure Within Convolutional Networks, NeurIPS 2014;
         Khodak et al., Initialization and Regularization of Factorized Neural Layers, ICLR 2021.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import skip_init

from bench.errors import NotApplicable
from bench.job import Job
from bench.model.halves import widened
from bench.model.outputs import objection
from bench.model.replaced import check_replaced
from bench.model.surgery import after_share
from bench.model.weight_reads import layers_read
from bench.random_state import undisturbed
from bench.technique import Effect, Stage, Technique

_empty: Any = skip_init  # which torch leaves untyped; unlike a layer's own start it draws nothing
READ_BY_OTHERS = (
    nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.MultiheadAttention,
)  # fmt: skip
"""Modules that read their linear layers' weights themselves."""


class LowRank(Technique):
    """Factorise linear layers once, in the midst of training."""

    name: ClassVar[str] = "low-rank"
    stage: ClassVar[Stage] = Stage.MODEL
    effect: ClassVar[Effect] = Effect.MODEL
    conflicts: ClassVar[frozenset[str]] = frozenset({"early-stopping"})  # it restores old shapes

    rank: float = Field(
        0.25, gt=0, lt=1, description="rank kept, as a share of a layer's smaller side"
    )
    energy: float | None = Field(
        None, gt=0, lt=1, description="share of the squared singular values kept, in place of rank"
    )
    after: float = Field(
        0.5, ge=0, lt=1, description="share of the epochs before; 0: factorise at once"
    )

    def apply(self, job: Job) -> Job:
        """Refuse what can't shrink before training; then wait for the epoch."""
        with undisturbed(job.device):
            read = layers_read(job, [layer for _, _, layer in _linear_layers(job.model)])
        layers = [layer for _, _, layer in _linear_layers(job.model) if layer not in read]
        if not layers:
            more = f": it reads the weights of {len(read)} itself" if read else ""
            raise NotApplicable(f"the model has no linear layer that could be factorised{more}")
        if self.energy is None and not any(_shrinks(layer, self._rank(layer)) for layer in layers):
            raise NotApplicable(self._refusal(layers))
        return after_share(job, self.after, lambda m: self._factorise(m, read, job), by=self.name)

    def _factorise(self, model: nn.Module, read: set[nn.Module], job: Job) -> None:
        """Replace every layer that becomes smaller by it; raise `NotApplicable` if none does."""
        layers = [place for place in _linear_layers(model) if place[2] not in read]
        shrunk = [place for place in layers if _shrinks(place[2], self._rank(place[2]))]
        if not shrunk:
            raise NotApplicable(self._refusal([layer for _, _, layer in layers]))
        for parent, name, layer in shrunk:
            setattr(parent, name, _factors(layer, self._rank(layer)))
        with undisturbed(job.device), torch.compiler.set_stance("force_eager"):
            check_replaced([place[2] for place in shrunk], lambda: objection(job, job.sample(2)))

    def _rank(self, layer: nn.Linear) -> int:
        if self.energy is None:
            return max(1, round(self.rank * min(layer.in_features, layer.out_features)))
        squares = torch.linalg.svdvals(widened(layer.weight.detach())).square()
        if not squares.any():  # of zeros there is no share to keep
            return len(squares)
        kept = squares.cumsum(0) / squares.sum()
        return min(len(squares), int((kept < self.energy).sum()) + 1)

    def _refusal(self, layers: list[nn.Linear]) -> str:
        asked = f"rank={self.rank}" if self.energy is None else f"energy={self.energy}"
        sizes = ", ".join(
            f"{layer.in_features}x{layer.out_features} at rank {self._rank(layer)}"
            for layer in layers[:3]
        )
        more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
        return f"{asked} makes no linear layer smaller: {sizes}{more}"


def _linear_layers(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """Yield each plain linear layer with where it stands; shared and hooked ones are left alone."""
    uses = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    for parent in model.modules():
        if isinstance(parent, READ_BY_OTHERS):
            continue
        for name, child in parent.named_children():
            hooked = child._forward_hooks or child._forward_pre_hooks or child._backward_hooks
            if type(child) is nn.Linear and uses[id(child.weight)] == 1 and not hooked:
                yield parent, name, child


def _shrinks(layer: nn.Linear, rank: int) -> bool:
    wide = layer.in_features * layer.out_features
    return rank * (layer.in_features + layer.out_features) < wide


class Factors(nn.Sequential):
    """Two thin layers in the place of a wide one, which has no weight of its own any more."""

    @property
    def weight(self) -> Tensor:
        """Refuse to be read, in a loss or an update."""
        raise NotApplicable("something besides the model's layers reads the weight of one, which "
                            "low-rank takes apart: the loss, or an update")  # fmt: skip

    @property
    def bias(self) -> Tensor | None:
        """Return the bias, which is as it was."""
        found: Tensor | None = self[1].bias  # type: ignore[assignment]  # the second is linear
        return found


def _factors(layer: nn.Linear, rank: int) -> Factors:
    """Return two layers whose product is the nearest of that rank, their scales shared evenly.

    Where a scale is 0 the first keeps the direction: of two that are 0, neither would ever train.
    """
    weight = layer.weight.detach()
    u, s, v = torch.linalg.svd(widened(weight), full_matrices=False)
    above = (s > s[0] * torch.finfo(s.dtype).eps * max(weight.shape))[:rank]
    inner = torch.where(above, s[:rank].sqrt(), 1.0)
    outer = torch.where(above, s[:rank].sqrt(), s[:rank])
    like: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
    ends, biased = (layer.in_features, layer.out_features), layer.bias is not None
    down: nn.Linear = _empty(nn.Linear, ends[0], rank, bias=False, **like)
    up: nn.Linear = _empty(nn.Linear, rank, ends[1], bias=biased, **like)
    with torch.no_grad():
        down.weight.copy_(inner[:, None] * v[:rank])
        up.weight.copy_(u[:, :rank] * outer)
        if biased:
            up.bias.copy_(layer.bias)
    made = Factors(down, up).requires_grad_(layer.weight.requires_grad)
    return made.train(layer.training)
