"""What objects keep that moves on: it is found wherever it is kept, and only then."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, RandomSampler, Subset, TensorDataset

from bench.interception.held import held


class Transform:
    """Keeps a generator behind a list of functions, as libraries of augmentations do."""

    def __init__(self) -> None:
        self.steps: list[Callable[[Tensor], Tensor]] = [torch.neg, self.noise]
        self.rng, self.cache, self.length = random.Random(0), dict[int, int](), float("nan")

    def noise(self, x: Tensor) -> Tensor:
        """Return a tensor with noise."""
        return x + self.rng.random()


class Transformed(Dataset[Tensor]):
    """Applies a transform to its items."""

    shared = np.random.default_rng(0)

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __getitem__(self, index: int) -> Tensor:
        """Return an item."""
        return torch.ones(2)


def test_a_generator_deep_within_is_found() -> None:
    transform = Transform()
    data = Subset(Transformed(functools.partial(transform.noise)), [0, 1])
    before = held(dataset=data)
    assert before.moved(held(dataset=data)) is None
    transform.rng.random()
    assert before.moved(held(dataset=data)) == "dataset.dataset.transform.func.rng"


def test_a_generator_of_a_class_is_found() -> None:
    before = held(dataset=Transformed(None))
    Transformed.shared.normal()
    assert before.moved(held(dataset=Transformed(None))) == "Transformed.shared"


def test_a_generator_that_is_made_at_the_first_item_is_found() -> None:
    data = Transformed(None)
    before = held(dataset=data)
    data.transform = torch.Generator()
    assert before.moved(held(dataset=data)) == "dataset.transform"


@pytest.mark.parametrize("change", [{"cache": {0: 1}}, {"length": 20}, {"seen": 1}])
def test_what_is_kept_to_save_work_is_no_generator(change: dict[str, object]) -> None:
    transform = Transform()
    before = held(dataset=Transformed(transform))
    if "length" in change:
        del transform.length
        before = held(dataset=Transformed(transform))
    vars(transform).update(change)
    assert before.moved(held(dataset=Transformed(transform))) is None


def test_what_refers_to_itself_is_looked_through_once() -> None:
    data: Any = TensorDataset(torch.ones(3, 2))
    data.itself = [data, RandomSampler(data)]
    assert held(dataset=data).moved(held(dataset=data)) is None
