"""gradient-checkpointing: blocks that keep something from pass to pass train as without it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.job import Job, Progress
from bench.model.module_state import SMALL, ModuleState
from optimizers.gradient_checkpointing import GradientCheckpointing
from tests.jobs import cross_entropy, job_of


class Block(nn.Module):
    """A layer, and what blocks keep from pass to pass."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer: nn.Module = nn.Linear(8, 8)
        self.random = torch.Generator().manual_seed(3)
        self.array = np.random.default_rng(3)
        self.register_buffer("mean", torch.zeros(8))
        self.calls = 0
        self.seen: list[int] = []
        self.side: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, 8)`` to the same shape."""
        return x + torch.relu(self.layer(x))


class Drawing(Block):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (torch.rand(len(x), 1, generator=self.random) < 0.8)


class DrawingElsewhere(Block):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (random.random() + np.random.rand() + self.array.random())


class InPlace(Block):
    def forward(self, x: Tensor) -> Tensor:
        self.mean.lerp_(x.detach().mean(0), 0.1)
        return super().forward(x - self.mean)


class ThroughData(Block):
    def forward(self, x: Tensor) -> Tensor:
        self.mean.data = 0.9 * self.mean.data + 0.1 * x.detach().mean(0)
        return super().forward(x - self.mean)


class Replacing(Block):
    def forward(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return super().forward(x - self.mean)


class Spectral(Block):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))


class OldSpectral(Block):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.utils.spectral_norm(nn.Linear(8, 8))


class Counting(Block):
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(self.calls)
        return super().forward(x) * self.calls / len(self.seen) ** 2


class Making(Block):
    def forward(self, x: Tensor) -> Tensor:
        first = not hasattr(self, "scale")
        self.scale = torch.ones(8) if first else self.scale + 1
        return super().forward(x) * self.scale


class Normed(Block):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8, momentum=None), nn.Dropout())


class WithLoss(Block):
    def forward(self, x: Tensor) -> Tensor:
        hidden = super().forward(x)
        self.side = hidden.square().mean()
        return hidden


BLOCKS = (
    Drawing, DrawingElsewhere, InPlace, ThroughData, Replacing, Spectral, OldSpectral, Counting,
    Making, Normed, WithLoss,
)  # fmt: skip


def job_with(kind: type[Block]) -> Job:
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    model = nn.Sequential(kind(), kind(), nn.Linear(8, 3))
    x, y = torch.randn(32, 8), torch.randint(0, 3, (32,))

    def loss(model: Any, batch: Any) -> Tensor:
        found = cross_entropy(model, batch)
        return found if model[0].side is None else found + model[0].side + model[1].side

    return job_of(model, x, y, loss=loss)


def steps_of(job: Job) -> list[Any]:
    """Return losses, gradients, buffers and counters of a few steps."""
    torch.manual_seed(1)
    found: list[Any] = []
    job.model.train()
    optimizer = job.make_optimizer(job.model)
    for batch in job.batches(Progress(3)):
        loss = job.loss(job.model, batch)
        job.backward(loss)
        found += [
            loss.item(),
            *(p.grad.clone() for p in job.model.parameters() if p.grad is not None),
        ]
        job.update(optimizer)
    found += [buffer.clone() for buffer in job.model.buffers()]
    return [*found, *((b.calls, b.seen) for b in job.model.children() if isinstance(b, Block))]


@pytest.mark.parametrize("kind", BLOCKS, ids=lambda kind: kind.__name__)
def test_gradients_and_what_a_block_keeps_are_those_without_it_bit_for_bit(kind: Any) -> None:
    expected = steps_of(job_with(kind))
    found = steps_of(GradientCheckpointing().apply(job_with(kind)))
    assert len(found) == len(expected) > 8
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other


def test_a_large_buffer_that_does_not_change_is_not_kept_twice() -> None:
    block = Block()
    block.register_buffer("mask", torch.zeros(SMALL))
    state = ModuleState(block)
    block.mean += 1
    state.settle()
    kept = [value.shape for value, _, _ in state._copies.values() if isinstance(value, Tensor)]
    assert kept == [torch.Size([8])]
