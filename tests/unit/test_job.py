"""A job: parts that are wrapped, or claimed by one technique alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.batches import chunk_items, first_size
from bench.errors import Clash
from bench.job import DataCard, plain_backward, plain_step
from bench.model.pretrained import digests
from bench.records.measurement import Measurement
from tests.jobs import Labelled, linear_job
from tests.records import measurement


def test_a_hash_covers_the_weights_that_a_training_begins_with(tmp_path: Path) -> None:
    card, path = DataCard("d", "d" * 64, 1, 1), tmp_path / "weights.pt"
    assert card.beside(*digests(None)) == card
    hashes = set()
    for content in (b"1", b"2"):
        path.write_bytes(content)
        hashes.add(card.beside(*digests(path)).sha256)
    assert len(hashes | {card.sha256}) == 3


def test_a_wrapped_part_calls_the_old_one() -> None:
    job = linear_job(loss=lambda model, batch: torch.tensor(2.0))
    wrapped = job.wrap("loss", lambda old: lambda model, batch: 3 * old(model, batch), by="a")
    assert wrapped.loss(job.model, None).item() == 6
    assert job.loss(job.model, None).item() == 2


def test_wrappers_go_around_each_other() -> None:
    def append(letter: str) -> Callable[[Callable[[Tensor], None]], Callable[[Tensor], None]]:
        def wrapper(old: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
            def backward(loss: Tensor) -> None:
                calls.append(letter)
                old(loss)

            return backward

        return wrapper

    calls: list[str] = []
    job = linear_job(backward=lambda loss: calls.append("plain"))
    job.wrap("backward", append("a"), by="a").wrap("backward", append("b"), by="b").backward(
        torch.ones(())
    )
    assert calls == ["b", "a", "plain"]


def test_a_claimed_part_is_replaced() -> None:
    assert linear_job().claim("backward", print, by="a").backward is print


@pytest.mark.parametrize("way", ["wrap", "claim"])
def test_a_part_that_someone_replaced_can_not_be_claimed(way: str) -> None:
    job = linear_job()
    earlier = (
        job.claim("step", plain_step, by="first")
        if way == "claim"
        else job.wrap("step", lambda old: old, by="first")
    )
    with pytest.raises(
        Clash, match="second and first both replace the job's step; use one of them"
    ):
        earlier.claim("step", plain_step, by="second")


def test_a_claimed_part_can_be_wrapped() -> None:
    job = linear_job().claim("backward", plain_backward, by="a")
    assert job.wrap("backward", lambda old: old, by="b").taken["backward"] == ("a", "b")


def test_a_batch_has_as_many_items_as_its_first_tensor() -> None:
    tensor = torch.ones(5, 2)
    assert first_size(tensor) == first_size([tensor]) == first_size({"x": (tensor,)}) == 5


def test_a_named_batch_is_split_into_named_parts() -> None:
    first, second = chunk_items(Labelled(torch.arange(4), torch.arange(4, 8)), 2)
    assert isinstance(first, Labelled)
    assert (first.x.tolist(), first.y.tolist()) == ([0, 1], [4, 5])
    assert (second.x.tolist(), second.y.tolist()) == ([2, 3], [6, 7])


def test_data_of_other_content_has_another_hash() -> None:
    def digest(*tensors: Tensor) -> str:
        return DataCard.of("d", tensors, 1, 1).sha256

    x = torch.arange(6.0)
    assert digest(x) == digest(x.clone())
    assert digest(x) != digest(x + 1)
    assert digest(x) != digest(x.view(2, 3))
    assert digest(x) != digest(x.double())


def test_data_of_no_number_axis_is_hashed_too() -> None:
    assert DataCard.of("d", [torch.tensor(3.0), torch.zeros(0)], 1, 1).sha256


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "complex64", "bool", "int64", "uint8"])
def test_data_of_every_kind_of_number_is_hashed(dtype: str) -> None:
    tensor = torch.tensor([0, 1, 1]).to(getattr(torch, dtype))
    expected = hashlib.sha256(f"{tensor.dtype}(3,)".encode())
    expected.update(tensor.view(torch.uint8).numpy().tobytes())
    assert DataCard.of("d", [tensor], 1, 1).sha256 == expected.hexdigest()


def test_a_record_keeps_the_very_card_that_a_job_gives() -> None:
    card = DataCard("d", "0" * 64, 3, 2, ("a note",))
    kept = measurement(data=card)
    assert kept.data == card
    assert Measurement.model_validate_json(kept.model_dump_json()).data == card
    for wrong in ({"train_items": -1}, {"more": 1}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            measurement(data={**asdict(card), **wrong})
