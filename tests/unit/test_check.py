"""What a rehearsal tells the author of a baseline: in-process, and as one line of the command."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.cli.check import as_text
from bench.errors import BenchError
from bench.job import Job, Progress
from bench.model.parts_of_loss import parts_of_loss
from bench.trial.describe import describe, layout_of
from bench.trial.spec import Findings
from tests.jobs import cross_entropy, linear_job


def described(tmp_path: Path, **parts: Any) -> Findings:
    return describe(lambda: linear_job(**parts), "accuracy", tmp_path)


def test_a_plain_job_is_described(tmp_path: Path) -> None:
    found = described(tmp_path)
    assert (found.items, found.batch) == (8, "(float32 (8, 6), int64 (8,))")
    assert (found.calls_forward, found.mean_of_parts, found.repeats) == (True, True, True)
    assert set(found.metrics) == {"accuracy"}
    assert found.model_bytes
    assert found.seconds.keys() == {"build", "steps", "evaluate"}


def test_what_is_told_is_printed_in_lines_that_begin_with_what_it_is_of(tmp_path: Path) -> None:
    lines = as_text(described(tmp_path)).splitlines()
    assert [line.split()[0] for line in lines] == [
        "batch", "loss", "forward", "metrics", "answers", "file", "seeds", "threads", "cost",
    ]  # fmt: skip


def test_a_loss_that_calls_a_model_around_it_is_told(tmp_path: Path) -> None:
    model = nn.Linear(6, 2)
    found = described(tmp_path, model=model, loss=lambda _, batch: cross_entropy(model, batch))
    assert not found.calls_forward
    assert "NOT called by the loss" in as_text(found)


def test_a_summed_loss_is_told(tmp_path: Path) -> None:
    def summed(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="sum")

    found = described(tmp_path, loss=summed)
    assert found.mean_of_parts is False
    assert found.whole == pytest.approx(2 * (found.parts or 0))
    assert "NOT the weighted mean" in as_text(found)


def test_a_batch_that_can_t_be_split_says_why(tmp_path: Path) -> None:
    job = linear_job()
    batch = next(iter(job.batches(Progress(1))))

    def batches(progress: Progress) -> Any:
        return [(batch[0], batch[1], torch.zeros(3))] * 4

    found = described(tmp_path, batches=batches)
    assert found.unsplit is not None
    assert "8 and 3 rows along dim 0" in found.unsplit
    assert "a batch can't be split" in as_text(found)


def test_seeds_that_do_not_repeat_are_told(tmp_path: Path) -> None:
    count = iter(range(100))

    def drifting() -> Job:
        torch.manual_seed(next(count))
        return linear_job(model=nn.Linear(6, 2))

    found = describe(drifting, "accuracy", tmp_path)
    assert not found.repeats
    assert "do NOT repeat" in as_text(found)


def test_chance_in_a_loss_is_not_taken_for_another_divisor() -> None:
    def noisy(model: nn.Module, batch: Any) -> Tensor:
        loss = nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
        return (loss * (1 + 0.2 * torch.randn(len(loss)))).mean()

    job = linear_job(loss=noisy)
    batch = next(iter(job.batches(Progress(1))))
    found = parts_of_loss(job, batch, job.split(batch, 2))
    assert found.noise > 0
    assert found.is_mean


def test_the_random_state_stays_where_it_was() -> None:
    job = linear_job()
    batch = next(iter(job.batches(Progress(1))))
    before = torch.get_rng_state()
    parts_of_loss(job, batch, job.split(batch, 2))
    assert torch.equal(before, torch.get_rng_state())


def test_layouts_are_told_as_they_are_nested() -> None:
    batch = {"ids": torch.zeros(2, 3), "text": ["a", "b"], "mask": None, "pair": [torch.ones(2)]}
    assert (
        layout_of(batch) == "{ids: float32 (2, 3), text: 2 x str, mask: None, pair: (float32 (2,))}"
    )


def test_a_metric_without_a_number_is_told_as_that(tmp_path: Path) -> None:
    metrics = {"accuracy": 0.5, "auroc": float("nan")}  # of one class alone, say
    found = described(tmp_path, evaluate=lambda model: metrics)
    assert found.metrics == {"accuracy": 0.5, "auroc": None}
    assert "accuracy 0.5, auroc no finite number; judged by accuracy" in as_text(found)


def test_batches_that_are_used_up_are_told(tmp_path: Path) -> None:
    left = iter([*linear_job().batches(Progress(1))][:2])  # as many as are rehearsed
    with pytest.raises(BenchError, match="no iterator that is used up"):
        described(tmp_path, batches=lambda progress: left)


class Locked(nn.Linear):
    """A model that can't be copied."""

    def __init__(self) -> None:
        super().__init__(6, 2)
        self.lock = threading.Lock()


def test_a_model_that_can_not_be_copied_is_described_but_for_what_its_copy_tells(
    tmp_path: Path,
) -> None:
    found = describe(lambda: linear_job(model=Locked()), "accuracy", tmp_path)
    assert (found.calls_forward, found.mean_of_parts) == (None, True)
    said = "whether the loss calls it can't be told: the model can't be copied: its lock: TypeError"
    assert said in as_text(found)
