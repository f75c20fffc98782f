"""What techniques that draw or read items otherwise do, and what they leave alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from bench.data.prefetch import with_loader
from bench.data.sampling import labelled
from bench.errors import NotApplicable
from bench.job import FixedItems, Job, Progress
from bench.machine.memory import children_bytes
from bench.testing import Case, stepped
from bench.trial.training import train
from optimizers.oversampling import Oversampling, repeated
from optimizers.weighted_sampling import WeightedSampling, weights_of
from tests.contract.cases import SMALL
from tests.contract.child import in_child
from tests.jobs import linear_job

S4 = Case("s4-ecg", SMALL["s4-ecg"])
NO_ITEMS = Case("timehut", SMALL["timehut"])
TABLE = torch.tensor([[1.0, 0, 0]] * 6 + [[0, 1, 0]] * 2 + [[0, 1, 1]])


def drawn(job: Job, epoch: int = 0) -> list[int]:
    assert job.fixed is not None
    rows = list(job.fixed.rows(Progress(job.epochs, epoch)))
    return [int(row) for batch in rows for row in batch]


def one_label(count: int, batch: int) -> tuple[FixedItems, Tensor]:
    labels = (torch.arange(count) % 10 == 0).long()

    def rows(progress: Progress) -> list[Tensor]:
        return list(torch.split(torch.randperm(count), batch))

    x = torch.arange(count).float()[:, None]
    return FixedItems(count, rows, lambda r: (x[r], labels[r]), labels=labels), labels


def with_items(items: FixedItems) -> Job:
    return replace(S4.job(), fixed=items, batches=items.batches)


def test_oversampling_repeats_the_rarest_classes_items_until_all_have_as_many() -> None:
    extra = repeated(TABLE, wanted=6, most=10)
    counts = TABLE.sum(0) + TABLE[extra].sum(0)
    assert counts.min() == 6
    assert set(extra.tolist()) <= {6, 7, 8}


def test_oversampling_shows_no_item_more_often_than_allowed() -> None:
    extra = repeated(TABLE, wanted=100, most=3)
    assert max(Counter(extra.tolist()).values()) == 2  # and once as itself
    assert len(extra) == 2 * len(TABLE)


def test_oversampling_by_index_and_by_copy_train_alike() -> None:
    items, _ = one_label(40, 8)
    by_index, by_copy = (
        Oversampling(how=how).apply(with_items(items)) for how in ("index", "copy")
    )
    one, other = (list(job.batches(Progress(1))) for job in (by_index, by_copy))
    assert len(one) == len(other)
    assert all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(one, other, strict=True)
    )
    assert by_index.fixed is not None
    assert by_copy.fixed is not None
    assert (by_index.fixed.count, by_copy.fixed.count) == (40, 40 + 32)


def test_copied_items_keep_their_texts() -> None:
    labels = (torch.arange(40) % 10 == 0).long()

    def take(rows: Tensor) -> dict[str, object]:
        texts = [str(int(row)) for row in rows]
        return {"x": rows.float(), "text": texts, "scale": torch.tensor(2.0)}

    items = FixedItems(40, lambda p: torch.split(torch.randperm(40), 8), take, labels=labels)
    job = Oversampling(how="copy").apply(with_items(items))
    for batch in job.batches(Progress(1)):
        assert [int(text) for text in batch["text"]] == batch["x"].int().tolist()
        assert batch["scale"] == 2.0


def test_a_schedule_of_all_steps_ends_with_an_oversampled_training() -> None:
    items, _ = one_label(40, 8)
    x = torch.randn(40, 6)
    items = replace(items, take=lambda rows: (x[rows], (rows % 10 == 0).long()))

    def cycle(optimizer: Optimizer, progress: Progress) -> OneCycleLR:
        return OneCycleLR(optimizer, 0.1, total_steps=progress.total_steps)

    own: dict[str, Any] = {"fixed": items, "batches": items.batches, "make_scheduler": cycle}
    job = Oversampling().apply(linear_job(epoch_steps=5, **own))
    assert job.epoch_steps == 9  # of 36 and 36 items, in batches of 8
    assert len(train(job).losses) == 3 * 9


def test_an_oversampled_epoch_has_all_items_and_the_repeated_ones() -> None:
    items, labels = one_label(40, 8)
    job = Oversampling(samples=20).apply(with_items(items))
    first, second = drawn(job), drawn(job)
    assert sorted(first) == sorted(second)
    assert first != second
    assert set(first) == set(range(40))
    assert int(labels[first].sum()) == 20


def test_oversampling_does_not_apply_where_classes_have_enough() -> None:
    items, _ = one_label(40, 8)
    with pytest.raises(NotApplicable, match="no class has fewer than 2 items"):
        Oversampling(samples=2).apply(with_items(items))


def test_weights_follow_the_rarest_label_of_an_item() -> None:
    weights = weights_of(TABLE, 1.0)
    assert torch.allclose(weights[0], torch.tensor(1 / 6).double())
    assert torch.allclose(weights[6:8], torch.tensor(1 / 3).double())
    assert weights[8] == 1


def test_weighted_sampling_draws_both_classes_alike_in_as_many_steps() -> None:
    items, labels = one_label(400, 8)
    job = WeightedSampling().apply(with_items(items))
    rows = drawn(job)
    assert len(rows) == 400
    assert 0.4 < labels[rows].float().mean() < 0.6


@pytest.mark.parametrize("name", ["oversampling", "weighted-sampling"])
def test_what_draws_by_label_says_what_is_missing(name: str) -> None:
    with pytest.raises(NotApplicable, match="which item has which label: no `fixed` training"):
        NO_ITEMS.job(name)


def test_one_label_for_all_is_nothing_to_tell_apart() -> None:
    items, _ = one_label(40, 8)
    with pytest.raises(NotApplicable, match="the same label"):
        labelled(with_items(replace(items, labels=torch.ones(40).long())))


@pytest.mark.parametrize("loader", ["thread", "2"])
def test_what_reads_batches_ahead_trains_bit_for_bit_alike(loader: str) -> None:
    plain, ahead = S4.job(), with_loader(S4.job(), loader)
    before = torch.random.get_rng_state()
    losses, state = stepped(plain, 12)
    torch.random.set_rng_state(before)
    theirs, its_state = stepped(ahead, 12)
    assert losses == theirs
    assert all(torch.equal(state[name], its_state[name]) for name in state)


def test_the_memory_of_worker_processes_counts() -> None:
    """In a child, which has no other children: a fork server's memory goes up and down."""

    def check() -> None:
        job = with_loader(S4.job(), "1")
        stepped(job, 2)
        assert children_bytes() > 2**20
        del job

    in_child(check)


def test_an_error_while_reading_ahead_is_raised_where_the_batch_is_needed() -> None:
    items, _ = one_label(40, 8)

    def take(rows: Tensor) -> Tensor:
        raise OSError("the disk is gone")

    job = with_loader(with_items(replace(items, take=take)), "thread")
    with pytest.raises(OSError, match="the disk is gone"):
        list(job.batches(Progress(1)))


def test_a_loader_needs_items_that_do_not_change() -> None:
    with pytest.raises(NotApplicable, match="loader=thread: training items may change"):
        with_loader(NO_ITEMS.job(), "thread")


def test_lazy_loading_needs_a_setting_that_could_be_lazy() -> None:
    with pytest.raises(NotApplicable, match="no `loading` that could be lazy"):
        S4.job("lazy-loading")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.arange(40) % 3 - 1, "14 of 40 labels of the training items are not known, .* as -1"),
        (torch.tensor([[0.0, 1.0], [1.0, float("nan")]] * 20), "20 of 80 labels .* such as nan"),
    ],
)
def test_labels_that_are_not_known_are_refused(labels: torch.Tensor, said: str) -> None:
    items, _ = one_label(40, 8)
    with pytest.raises(NotApplicable, match=said):
        labelled(with_items(replace(items, labels=labels)))
