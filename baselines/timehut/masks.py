"""Which time steps of a hidden sequence are hidden: boolean masks ``(B, T)``, False hides."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from baselines.timehut.settings import MaskName

RUNS = 5
"""Hidden runs per series of the continuous mask."""
RUN_SHARE = 0.1
"""Length of one hidden run as a share of the series."""


def draw(
    kind: MaskName, rows: int, steps: int, device: torch.device, random: Generator | None = None
) -> Tensor:
    """Return a mask ``(rows, steps)``; only the random kinds consume random numbers."""
    if kind == "binomial":
        return _unit((rows, steps), device, random) < 0.5
    if kind == "continuous":
        return _continuous(rows, steps, device, random)
    if kind == "all_false":
        return torch.zeros(rows, steps, dtype=torch.bool, device=device)
    mask = torch.ones(rows, steps, dtype=torch.bool, device=device)
    if kind == "mask_last":
        mask[:, -1] = False
    return mask


def _continuous(rows: int, steps: int, device: torch.device, random: Generator | None) -> Tensor:
    """Hide `RUNS` runs of consecutive steps, at random places, in every row."""
    length = max(int(RUN_SHARE * steps), 1)
    places = steps - length + 1
    starts = (_unit((rows, RUNS, 1), device, random) * places).long()
    time = torch.arange(steps, device=device)
    hidden = (time >= starts) & (time < starts + length)
    return ~hidden.any(dim=1)


def _unit(shape: tuple[int, ...], device: torch.device, random: Generator | None) -> Tensor:
    """Draw numbers from [0, 1)."""
    if random is None:  # torch.compile can't trace an explicit generator=None
        return torch.rand(shape, device=device)
    return torch.rand(shape, device=device, generator=random)
