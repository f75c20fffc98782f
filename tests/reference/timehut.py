"""TimeHUT written as the papers say it, one operation after the other, nothing shared or fused.

Independent of `baselines.timehut`'s mathematics; only its settings and weights are taken over.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from baselines.timehut import TimeHUTSettings
from baselines.timehut.crops import Crop

LIMIT = 1 - 1e-6


class ReferenceBlock(nn.Module):
    """GELU, dilated convolution, GELU, dilated convolution, residual."""

    def __init__(self, inputs: int, outputs: int, dilation: int, last: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv1d(outputs, outputs, 3, padding=dilation, dilation=dilation)
        self.projector = nn.Conv1d(inputs, outputs, 1) if last or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, T)`` to ``(B, outputs, T)``."""
        residual = x if self.projector is None else self.projector(x)
        x = self.conv1(F.gelu(x))
        x = self.conv2(F.gelu(x))
        return x + residual


class ReferenceEncoder(nn.Module):
    """The published structure of the encoder, ``(B, T, C)`` to ``(B, T, output)``."""

    def __init__(self, channels: int, settings: TimeHUTSettings) -> None:
        super().__init__()
        widths = [settings.hidden] * (settings.depth + 1) + [settings.output]
        self.input = nn.Linear(channels, settings.hidden)
        self.blocks = nn.Sequential(
            *(
                ReferenceBlock(widths[i], widths[i + 1], 2**i, last=i == settings.depth)
                for i in range(settings.depth + 1)
            )
        )
        self.dropout = nn.Dropout(0.1)

    def take_weights(self, encoder: nn.Module) -> None:
        """Load the weights of the fast encoder, whose kernels are two-dimensional or in parts."""
        theirs = encoder.state_dict()
        for name in [name for name in theirs if name.endswith(".centre")]:
            place = name.removesuffix("centre")
            left, right = theirs.pop(place + "outer").unbind(2)
            theirs[place + "weight"] = torch.stack([left, theirs.pop(name), right], dim=2)
        own = self.state_dict()
        self.load_state_dict(
            {name: value.reshape(own[name].shape) for name, value in theirs.items()}
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode; a missing `mask` ``(B, T)`` is binomial in training, all true otherwise."""
        missing = x.isnan().any(dim=-1)
        x = torch.where(missing.unsqueeze(-1), torch.zeros_like(x), x)
        x = self.input(x)
        if mask is None:
            shape = x.shape[:2]
            mask = torch.rand(shape) < 0.5 if self.training else torch.ones(shape) > 0
        mask = mask.to(x.device) & ~missing
        x = torch.where(mask.unsqueeze(-1), x, torch.zeros_like(x))
        x = self.dropout(self.blocks(x.transpose(1, 2)))
        return x.transpose(1, 2)


def rows_from(x: Tensor, starts: Tensor, length: int) -> Tensor:
    """Cut ``(B, length, C)`` out of ``(B, T, C)``, row b from ``starts[b]``."""
    time = starts.unsqueeze(1) + torch.arange(length)
    return x[torch.arange(len(x)).unsqueeze(1), time]


def encode_views(
    encoder: nn.Module, x: Tensor, crop: Crop, masks: tuple[Tensor | None, Tensor | None]
) -> tuple[Tensor, Tensor]:
    """Encode both views one after the other and return their common part, ``(B, T', C)`` each."""
    offsets = torch.tensor(crop.offsets)
    overlap = crop.right - crop.left
    first = rows_from(x, offsets + crop.outer_left, crop.right - crop.outer_left)
    second = rows_from(x, offsets + crop.left, crop.outer_right - crop.left)
    z1 = encoder(first, masks[0])[:, -overlap:]
    z2 = encoder(second, masks[1])[:, :overlap]
    return z1, z2


def without_diagonal(sim: Tensor) -> Tensor:
    """Drop each row's product with itself: ``(G, n, n)`` to ``(G, n, n - 1)``."""
    lower = torch.tril(sim, diagonal=-1)[:, :, :-1]
    upper = torch.triu(sim, diagonal=1)[:, :, 1:]
    return lower + upper


def contrast(z: Tensor, tau: float, order: Literal["divide", "rescale"]) -> Tensor:
    """Return the contrast of ``(G, 2h, C)``; `order` says where the temperature acts."""
    half = z.shape[1] // 2
    logits = without_diagonal(z @ z.transpose(1, 2))
    if order == "divide":
        logits = -F.log_softmax(logits / tau, dim=-1)
    else:
        logits = -F.log_softmax(logits, dim=-1) / tau
    i = torch.arange(half)
    return (logits[:, i, half + i - 1].mean() + logits[:, half + i, i].mean()) / 2


def angular_margin(z: Tensor, margin: float) -> Tensor:
    """Return the angular margin loss of ``(G, 2h, C)``, summed over all ordered pairs."""
    groups, both, _ = z.shape
    unit = F.normalize(z, dim=-1)
    sim = unit @ unit.transpose(1, 2)
    names = torch.arange(both // 2).repeat(2)
    same = names.unsqueeze(0) == names.unsqueeze(1)
    itself = torch.eye(both, dtype=torch.bool)
    positive = (same & ~itself).expand(groups, both, both)
    negative = (~same).expand(groups, both, both)
    angles_apart = torch.acos(sim[negative].clamp(-LIMIT, LIMIT))
    angles_together = torch.acos(sim[positive].clamp(-LIMIT, LIMIT))
    return ((margin - angles_apart).relu().square().sum() + angles_together.square().sum()) / 25


def instance_loss(z1: Tensor, z2: Tensor, tau: float, settings: TimeHUTSettings) -> Tensor:
    """Tell the series of a batch apart at every time step."""
    if len(z1) == 1:
        return z1.new_zeros(())
    z = torch.cat([z1, z2], dim=0).transpose(0, 1)
    loss = contrast(z, tau, "divide")
    if settings.amc_instance > 0:
        loss = loss + settings.amc_instance * angular_margin(z, settings.amc_margin)
    return loss


def temporal_loss(z1: Tensor, z2: Tensor, tau: float, settings: TimeHUTSettings) -> Tensor:
    """Tell the time steps of every series apart."""
    z = torch.cat([z1, z2], dim=1)
    loss = contrast(z, tau, settings.temporal_tau)
    if settings.amc_temporal > 0:
        loss = loss + settings.amc_temporal * angular_margin(z, settings.amc_margin)
    return loss


def hierarchical(z1: Tensor, z2: Tensor, tau: float, settings: TimeHUTSettings) -> Tensor:
    """Add up the levels, each of half the length of the one before."""
    loss = z1.new_zeros(())
    levels = 0
    while z1.shape[1] > 1:
        loss = loss + settings.alpha * instance_loss(z1, z2, tau, settings)
        loss = loss + (1 - settings.alpha) * temporal_loss(z1, z2, tau, settings)
        levels += 1
        z1 = F.max_pool1d(z1.transpose(1, 2), 2).transpose(1, 2)
        z2 = F.max_pool1d(z2.transpose(1, 2), 2).transpose(1, 2)
    loss = loss + settings.alpha * instance_loss(z1, z2, tau, settings)
    return loss / (levels + 1)


class ReferenceTraining:
    """The whole training step: two encoder calls, plain AdamW, `AveragedModel`."""

    def __init__(self, channels: int, settings: TimeHUTSettings, weights: nn.Module) -> None:
        self.settings = settings
        self.encoder = ReferenceEncoder(channels, settings)
        self.encoder.take_weights(weights)
        self.average = AveragedModel(self.encoder)
        self.average.update_parameters(self.encoder)
        self.optimizer = torch.optim.AdamW(
            self.encoder.parameters(), lr=settings.lr, foreach=False, fused=False
        )

    def loss(self, x: Tensor, crop: Crop, tau: float, masks: Any = (None, None)) -> Tensor:
        """Return the loss of a batch ``(B, T, C)`` for a given crop and given masks."""
        z1, z2 = encode_views(self.encoder, x, crop, masks)
        return hierarchical(z1, z2, tau, self.settings)

    def step(self, x: Tensor, crop: Crop, tau: float) -> float:
        """Make one optimiser update and return its loss."""
        self.optimizer.zero_grad()
        loss = self.loss(x, crop, tau)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.optimizer.step()
        self.average.update_parameters(self.encoder)
        return float(loss.detach())
