"""What is known of a model's items from its inputs alone: their shape, and their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.errors import BenchError, NotApplicable
from bench.records.checkpoint import Inputs
from bench.use.checkpoint import _inputs
from bench.use.plain import Plain
from bench.use.scores import Scores
from tests.jobs import linear_job


def use(dtype: str) -> Plain:
    return Plain(linear_job, Inputs(shape=(2,), dtype=dtype), {})


@pytest.mark.parametrize(
    ("dtype", "values", "said"),
    [
        ("int64", [1.7, 2], "the model takes whole numbers from -16777215 to 16777215"),
        ("int64", [16777217, 2], "the model takes whole numbers"),
        ("uint8", [300, 2], "the model takes whole numbers from 0 to 255"),
        ("bool", [2, 1], "the model takes whole numbers from 0 to 1"),
        ("float32", [np.inf, 1], "a value is too large"),
        ("float32", [np.nan, 1], "a value is missing"),
    ],
)
def test_a_number_that_the_model_does_not_take_is_refused_and_not_made_another(
    dtype: str, values: list[float], said: str
) -> None:
    with pytest.raises(BenchError, match=said):
        use(dtype).take(np.array(values, np.float32))


def test_whole_numbers_are_taken_as_they_are() -> None:
    rows = use("int64").take(np.array([7, -3], np.float32)).rows
    assert torch.equal(rows, torch.tensor([[7, -3]]))


def test_a_value_beyond_a_model_s_numbers_is_refused_in_a_file_too(tmp_path: Path) -> None:
    np.save(tmp_path / "item.npy", np.array([1e300, 1.0]))
    with pytest.raises(BenchError, match="a value is too large"):
        use("float32").read([tmp_path / "item.npy"])


@pytest.mark.parametrize(
    "values",
    [
        np.array([1 + 5j, 2]), np.array(["1", "2"]), np.array(["2020", "2021"], "datetime64[Y]"),
        np.array([(1, 2.0)], [("a", int), ("b", float)]),
    ],
    ids=["complex", "texts", "dates", "records"],
)  # fmt: skip
def test_a_file_of_what_are_no_numbers_is_refused_and_not_turned_into_some(
    tmp_path: Path, values: Any
) -> None:
    np.save(tmp_path / "item.npy", values)
    with pytest.raises(BenchError, match=r"item\.npy can't be read as an array .*it holds"):
        use("float32").read([tmp_path / "item.npy"])


@pytest.mark.parametrize("length", ["9" * 13, "9" * 30])
def test_a_file_that_says_it_is_larger_than_it_is_is_refused(tmp_path: Path, length: str) -> None:
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({length},), }}".ljust(117) + "\n"
    path = tmp_path / "item.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode())
    with pytest.raises(BenchError, match=r"item\.npy can't be read as an array of numbers"):
        use("float32").read([path])


def test_scores_are_what_has_as_many_columns_as_there_are_classes() -> None:
    class Several(nn.Module):
        def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
            return rows, rows[:, :2] * 3

    rows = torch.ones(4, 6)
    assert torch.equal(Scores(Several(), 2)(rows), rows[:, :2] * 3)
    assert torch.equal(Scores(Several())(rows), rows)
    with pytest.raises(NotApplicable, match="2 tensors, none of which has 5 columns"):
        Scores(Several(), 5)(rows)


def test_an_item_has_a_shape_where_items_lie_along_the_first_dimension() -> None:
    def time_first(items: int) -> tuple[Tensor]:
        return (torch.ones(10, items, 6),)

    found = _inputs(linear_job())
    assert found is not None
    assert found.shape == (6,)
    assert _inputs(linear_job(sample=time_first)) is None
