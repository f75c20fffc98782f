"""What a batch holds is told by its values, and not by which objects they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.interception.content import content_of


def batch(value: float, name: str = "ab") -> dict[str, Any]:
    number = torch.tensor(value)
    return {
        "x": number.repeat(3), "half": number.bfloat16(), "array": np.full(2, value),
        "names": [name, "".join([*name])], "more": (float("nan"), {value}, None),
    }  # fmt: skip


def test_equal_batches_are_equal_and_others_are_not() -> None:
    assert content_of(batch(1.0)) == content_of(batch(1.0))
    assert content_of(batch(1.0)) != content_of(batch(2.0))
    assert content_of(torch.zeros(2, 3)) != content_of(torch.zeros(3, 2))
    assert content_of(torch.zeros(2)) != content_of(torch.zeros(2).int())


def test_parts_that_are_one_object_are_as_two_that_are_equal() -> None:
    one, x = "".join(["a", "b"]), torch.ones(2)
    assert content_of([one, one, x, x]) == content_of([one, "".join(["a", "b"]), x, x.clone()])


def itself() -> list[Any]:
    one: list[Any] = []
    one.append(one)
    return one


@pytest.mark.parametrize(
    "one", [lambda: 0, itself(), (one for one in (1,))], ids=["f", "self", "gen"]
)
def test_what_can_not_be_compared_is_told_to_be_so(one: object) -> None:
    assert content_of(one) is None
