"""Items are counted, split and selected along the dimension that they lie in."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bench.data.layout import items_held, with_layout
from bench.errors import NotApplicable
from tests.jobs import linear_job

TIME_FIRST = (torch.arange(35 * 20).view(35, 20), torch.arange(35 * 20).view(35, 20))
"""Inputs and targets of 20 items, 35 steps each."""


def time_first(**parts: Any) -> Any:
    def sample(items: int) -> tuple[Tensor, Tensor]:
        return torch.ones(35, items), torch.zeros(2, items, 8)

    return with_layout(linear_job(sample=sample, **parts))


def test_the_items_of_a_time_first_batch_are_its_columns() -> None:
    assert time_first().items(TIME_FIRST) == 20


def test_a_time_first_batch_is_split_between_its_items() -> None:
    parts = time_first().split(TIME_FIRST, 2)
    assert [part[0].shape for part in parts] == [(35, 10), (35, 10)]
    for whole, pieces in zip(TIME_FIRST, zip(*parts, strict=True), strict=True):
        assert torch.equal(torch.cat(pieces, 1), whole)


def test_items_of_a_time_first_batch_are_selected_whole() -> None:
    inputs, targets = time_first().select(TIME_FIRST, torch.tensor([3, 1]))
    assert torch.equal(inputs, TIME_FIRST[0][:, [3, 1]])
    assert torch.equal(targets, TIME_FIRST[1][:, [3, 1]])


def test_labels_of_a_time_first_batch_go_with_their_items() -> None:
    job = time_first()
    inputs, labels = TIME_FIRST[0], torch.arange(20)
    batch = {"x": inputs, "y": labels, "weight": torch.ones(())}
    assert [part["y"].tolist() for part in job.split(batch, 2)] == [[*range(10)], [*range(10, 20)]]
    chosen = job.select(batch, torch.tensor([3, 1]))
    assert chosen["y"].tolist() == [3, 1]
    assert torch.equal(chosen["x"], inputs[:, [3, 1]])
    with pytest.raises(NotApplicable, match="20 and 700 rows"):
        job.split((inputs, torch.arange(700)), 2)


def test_items_first_and_what_a_baseline_says_itself_stay() -> None:
    plain = linear_job()
    assert with_layout(plain) is plain
    assert time_first(items=lambda batch: batch[0].numel()).items(TIME_FIRST) == 700


def test_a_sample_that_can_not_be_drawn_or_does_not_grow_changes_nothing() -> None:
    def fail(items: int) -> tuple[Tensor]:
        raise LookupError

    for sample in (fail, lambda n: (torch.ones(27, 8),), lambda n: ()):
        job = linear_job(sample=sample)
        assert with_layout(job) is job


def test_a_number_in_a_sample_hides_no_items() -> None:
    def sample(items: int) -> dict[str, Tensor]:
        return {"scale": torch.ones(()), "x": torch.ones(35, items)}

    assert items_held(sample(1), sample(32), 32) == (1, 32)
    job = with_layout(linear_job(sample=sample))
    assert job.items({"scale": torch.ones(()), "x": torch.ones(35, 20)}) == 20


def test_asking_for_the_layout_leaves_the_random_state_as_it_was() -> None:
    job = linear_job(sample=lambda n: (torch.rand(n, 6),))
    before = torch.get_rng_state()
    with_layout(job)
    assert torch.equal(torch.get_rng_state(), before)


def detected(size: int) -> Any:
    """Return a batch as detection scripts collate it: images of several sizes, and their boxes."""
    images = [torch.full((3, 8 + n, 8), float(n)) for n in range(size)]
    return images, [{"boxes": torch.zeros(1 + n, 4)} for n in range(size)]


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_list_of_images_holds_an_item_for_each(size: int) -> None:
    batch = detected(size)
    job = with_layout(linear_job(sample=lambda n: ([torch.zeros(3, 8, 8)] * n,)))
    first, *_ = job.split(batch, 2)
    assert job.items(batch) == size
    assert [len(image[0]) for image in first[0]] == [8 + n for n in range(-(-size // 2))]
    assert [len(one["boxes"]) for one in first[1]] == [1 + n for n in range(-(-size // 2))]
    chosen = job.select(batch, torch.tensor([1, 0]))
    assert [float(image.mean()) for image in chosen[0]] == [1, 0]
    assert items_held(job.sample(1), job.sample(32), 32) == (1, 32)


@pytest.mark.parametrize("batch", [
    [{"image": torch.zeros(3, 8, 8), "boxes": torch.zeros(n, 4)} for n in (1, 2, 3)],
    [(torch.zeros(3, 8, 8), torch.tensor(n)) for n in (1, 2, 3)],
    {"images": [torch.zeros(3, 8, 8)] * 3, "labels": torch.arange(3)},
])  # fmt: skip
def test_a_list_of_items_is_counted_however_it_is_collated(batch: Any) -> None:
    job = with_layout(linear_job(sample=lambda n: ([torch.zeros(3, 8, 8)] * n,)))
    assert job.items(batch) == 3
    assert [job.items(part) for part in job.split(batch, 2)] == [2, 1]


def test_items_are_rows_where_a_sample_alone_is_a_list() -> None:
    job = with_layout(linear_job(sample=lambda n: ([torch.zeros(3, 8, 8)] * n,)))
    batch = torch.zeros(6, 3, 8, 8), torch.zeros(6, 3, 8, 8)
    assert (job.items(batch), len(job.split(batch, 2)[0][1])) == (6, 3)
