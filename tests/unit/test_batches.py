"""Batches as people nest them: texts, numbers and None beside and between the tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from bench.batches import (
    chunk_items,
    each_tensor,
    first_size,
    inputs_of,
    joined,
    select_items,
    with_inputs,
)
from bench.data.layout import items_held
from bench.data.sampling import placing
from bench.errors import NotApplicable


def mixed() -> dict[str, Any]:
    return {
        "text": ["a", "b", "c", "d"], "split": "train", "mask": None, "step": 3,
        "nested": {"ids": torch.arange(8).view(4, 2), "pair": (torch.arange(4), None)},
        "scale": torch.tensor(2.0),
    }  # fmt: skip


def test_a_batch_has_as_many_items_as_its_first_tensor_wherever_it_lies() -> None:
    assert first_size(mixed()) == 4
    assert inputs_of(mixed()).shape == (4, 2)


def test_microbatches_have_their_items_texts_and_all_that_belongs_to_the_batch() -> None:
    first, second = chunk_items(mixed(), 2)
    assert (first["text"], second["text"]) == (["a", "b"], ["c", "d"])
    assert second["nested"]["ids"].tolist() == [[4, 5], [6, 7]]
    assert second["nested"]["pair"][0].tolist() == [2, 3]
    assert second["nested"]["pair"][1] is None
    assert (second["split"], second["mask"], second["step"]) == ("train", None, 3)
    assert second["scale"] == 2.0


def test_chosen_items_have_their_texts() -> None:
    found = select_items(mixed(), torch.tensor([3, 0]))
    assert found["text"] == ["d", "a"]
    assert found["nested"]["pair"][0].tolist() == [3, 0]
    assert found["split"] == "train"


def test_a_list_of_another_length_belongs_to_the_whole_batch() -> None:
    (first, _) = chunk_items({"x": torch.arange(4), "names": ["height", "width", "age"]}, 2)
    assert first["names"] == ["height", "width", "age"]


def test_other_inputs_take_the_place_of_the_first_tensor_behind_a_text() -> None:
    found = with_inputs(("label", None, torch.zeros(2), torch.ones(2)), torch.full((2,), 5.0))
    assert found[:2] == ("label", None)
    assert (found[2].tolist(), found[3].tolist()) == ([5, 5], [1, 1])


def test_what_is_no_tensor_stays_when_tensors_are_changed() -> None:
    found = each_tensor([mixed()], lambda parts: parts[0] * 2)
    assert found["nested"]["ids"][1].tolist() == [4, 6]
    assert (found["text"], found["mask"]) == (["a", "b", "c", "d"], None)


def test_tensors_of_several_lengths_are_not_split_by_guess() -> None:
    with pytest.raises(NotApplicable, match="have 4 and 9 rows along dim 0"):
        chunk_items((torch.zeros(4), torch.zeros(9)), 2)


def test_a_packed_sequence_has_as_many_items_as_its_first_step() -> None:
    def packed(items: int) -> PackedSequence:
        lengths = torch.arange(items) % 5 + 3
        return pack_padded_sequence(
            torch.zeros(items, 9, 2), lengths, batch_first=True, enforce_sorted=False
        )

    assert first_size((packed(16), torch.arange(16))) == 16
    assert first_size({"x": packed(7), "y": torch.arange(7)}) == 7
    assert items_held((packed(1),), (packed(32),), 32) == (1, 32)
    with pytest.raises(NotApplicable, match="which can't be the items of both"):
        chunk_items((packed(16), torch.arange(16)), 2)


def test_a_sparse_tensor_has_no_items() -> None:
    with pytest.raises(NotApplicable, match="a sparse tensor"):
        chunk_items((torch.zeros(3, 2), torch.eye(3).to_sparse()), 3)


def test_a_single_number_before_the_inputs_belongs_to_the_whole_batch() -> None:
    batch = {"scale": torch.tensor(2.0), "inputs": {"x": torch.arange(4)}}
    assert first_size(batch) == 4
    assert inputs_of(batch).tolist() == [0, 1, 2, 3]
    found = with_inputs(batch, torch.zeros(4))
    assert (float(found["scale"]), found["inputs"]["x"].tolist()) == (2.0, [0, 0, 0, 0])
    assert [part["inputs"]["x"].tolist() for part in chunk_items(batch, 2)] == [[0, 1], [2, 3]]
    with pytest.raises(NotApplicable, match="holds no tensor of items"):
        first_size((torch.tensor(2.0), "a"))


@dataclass(frozen=True)
class Pairs:
    """A batch."""

    x: Tensor
    texts: list[str]
    scale: float = 1.0


def test_a_dataclass_is_split_by_its_fields() -> None:
    batch = Pairs(torch.arange(5.0), list("abcde"), 2.0)
    first, second = chunk_items(batch, 2)
    assert (first_size(batch), first.texts, second.x.tolist()) == (5, ["a", "b", "c"], [3.0, 4.0])
    assert second.scale == 2.0
    assert select_items(batch, torch.tensor([4, 0])).texts == ["e", "a"]


def test_a_batch_without_tensors_is_said_to_be_one() -> None:
    with pytest.raises(NotApplicable, match="a batch of the type list holds no tensor"):
        first_size(["a", "b"])


def test_a_packed_sequence_is_moved_as_one() -> None:
    packed = pack_padded_sequence(torch.zeros(3, 4, 2), torch.tensor([4, 2, 1]), batch_first=True)
    placed, _ = placing(torch.device("meta"))((packed, torch.arange(3)))
    assert (placed.data.device.type, placed.batch_sizes.device.type) == ("meta", "cpu")
    with pytest.raises(NotApplicable, match="packed sequences, which can't be joined"):
        joined([(packed,), (packed,)])


LONG = [torch.full((length,), float(length)) for length in (5, 3, 4)]


def first_of(batch: Any) -> Any:
    return next(iter(batch.values())) if isinstance(batch, dict) else batch[0]


@pytest.mark.parametrize(
    "batch",
    [
        (LONG, torch.arange(3)),
        (tuple(LONG), torch.arange(3)),
        {"x": LONG, "split": "train", "y": torch.arange(3)},
        [LONG, ["a", "b", "c"]],
    ],
    ids=["list", "tuple", "dict", "no tensor beside"],
)
def test_a_list_of_sequences_has_an_item_in_each(batch: Any) -> None:
    assert first_size(batch) == 3
    parts = [first_of(part) for part in chunk_items(batch, 2)]
    assert [[len(one) for one in part] for part in parts] == [[5, 3], [4]]
    assert type(parts[0]) is type(first_of(batch))
    chosen = first_of(select_items(batch, torch.tensor([2, 0])))
    assert [len(one) for one in chosen] == [4, 5]


def test_pictures_of_one_size_in_a_list_are_counted_by_their_labels() -> None:
    batch = ([torch.zeros(3, 4, 4) for _ in range(2)], torch.arange(2))
    assert first_size(batch) == 2
    assert [part[1].tolist() for part in chunk_items(batch, 2)] == [[0], [1]]


def test_views_in_a_list_have_the_same_items() -> None:
    batch = ([torch.zeros(4, 2), torch.ones(4, 2)], torch.arange(4))
    assert first_size(batch) == 4
    assert [len(part[0]) for part in chunk_items(batch, 2)] == [2, 2]
    assert first_size(([torch.zeros(2, 2), torch.ones(2, 2)], torch.arange(2))) == 2
