"""FLOPs of a step: which batches are counted, what is computed again, and a sample of several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.batches import Batch
from bench.errors import NotApplicable
from bench.job import Job, Progress
from bench.trial.batch_shapes import MOST_BATCHES, CountsByShape, shapes_of
from bench.trial.flops import count_flops
from tests.jobs import linear_job

B = 8
SHORT, LONG = 4, 10


def counted(model: nn.Module, *batches: Tensor, **parts: Any) -> Job:
    """Return a job that trains the sum of what the model answers."""

    def epoch(progress: Progress) -> Iterator[Tensor]:
        yield from batches

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        found: Tensor = model(batch)
        return found.sum()

    return linear_job(**{"model": model, "batches": epoch, "loss": loss, **parts})


def test_batches_that_are_sorted_by_length_are_all_in_the_mean() -> None:
    batches = [torch.ones(B, length, 6) for length in (SHORT,) * 3 + (LONG,) * 3]
    found = count_flops(counted(nn.Linear(6, 2), *batches))
    assert found.per_step == 2 * (2 * B * (SHORT + LONG) / 2 * 6 * 2)  # a mean of both
    assert not found.one_shape


def test_a_last_smaller_batch_counts_by_its_share() -> None:
    found = count_flops(counted(nn.Linear(6, 2), *[torch.ones(B, 6)] * 5, torch.ones(2, 6)))
    assert found.per_step == 2 * (2 * (5 * B + 2) * 6 * 2) // 6


def test_of_each_shape_one_step_is_made_once_shapes_are_seen_to_decide() -> None:
    made: list[int] = []

    def count(batch: Tensor) -> int:
        made.append(len(batch))
        return len(batch)

    known = CountsByShape(count, MOST_BATCHES)
    sizes = [8, 8, 8, 8, 2, 8, 2, 2]
    assert list(known.of(torch.ones(size) for size in sizes)) == sizes
    assert made == [8, 8, 8, 2]


def test_what_costs_unlike_at_one_shape_is_counted_step_by_step() -> None:
    costs = iter(range(100))
    known = CountsByShape(lambda batch: next(costs), 5)
    assert list(known.of(torch.ones(9, 8))) == [0, 1, 2, 3, 4]
    assert known.full


@pytest.mark.parametrize(
    "unlike",
    [
        (torch.eye(3).to_sparse(), torch.ones(3, 3).to_sparse()),
        tuple(nn.utils.rnn.pack_sequence([torch.ones(n, 1), torch.ones(6 - n, 1)]) for n in (5, 4)),
    ],
)
def test_what_a_batch_stores_is_a_part_of_its_shape(unlike: tuple[Batch, Batch]) -> None:
    assert shapes_of({"x": unlike[0]}) != shapes_of({"x": unlike[1]})


def test_batches_that_are_used_up_are_told_and_not_waited_for() -> None:
    once = iter([torch.ones(B, 6)])
    with pytest.raises(NotApplicable, match="batches gave none when they were drawn from once"):
        count_flops(counted(nn.Linear(6, 2), batches=lambda progress: once))


class Checkpointed(nn.Module):
    """A model that computes two of its layers again by itself."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first, self.inner = nn.Linear(6, 6), nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, 6)`` to the same shape."""
        found: Tensor = checkpoint(self.inner, self.first(x), use_reentrant=self.reentrant)
        return found


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_a_model_computes_again_is_no_work_of_its_own(reentrant: bool) -> None:
    layer = 2 * B * 6 * 6
    before = torch.utils.checkpoint.CheckpointFunction.forward
    found = count_flops(counted(Checkpointed(reentrant), torch.ones(B, 6)))
    assert found.per_step == 2 * layer + 2 * (3 * layer)  # the input needs no gradient
    assert torch.utils.checkpoint.CheckpointFunction.forward is before


def test_an_item_costs_its_share_of_a_sample_that_always_holds_several() -> None:
    whole = torch.ones(B, 6)
    found = count_flops(counted(nn.Linear(6, 2), whole, sample=lambda items: (whole,)))
    assert found.forward_per_item == 2 * 6 * 2
