"""What objects keep that moves on: it is found wherever it is kept, and only then."""

from __future__ import annotations

import functools
import random
import weakref
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
    assert before.drawn(held(dataset=data)) is None
    transform.rng.random()
    assert before.drawn(held(dataset=data)) == "dataset.dataset.transform.func.rng"


def test_a_generator_of_a_class_is_found() -> None:
    before = held(dataset=Transformed(None))
    Transformed.shared.normal()
    assert before.drawn(held(dataset=Transformed(None))) == f"{__name__}.Transformed.shared"


@pytest.mark.parametrize("bases", range(4))
def test_a_generator_of_any_class_of_an_object_is_found(bases: int) -> None:
    """What a class holds was once known by an address, which the next one then had."""
    rng = np.random.default_rng(0)
    kind: Any = type("Kept", (Transformed,), {"rng": rng})
    for number in range(bases):
        kind = type(f"Kind{number}", (kind,), {})
    before = held(dataset=kind(None))
    rng.normal()
    assert before.drawn(held(dataset=kind(None))) == f"{__name__}.Kept.rng"


def test_a_generator_that_is_made_at_the_first_item_is_found() -> None:
    data = Transformed(None)
    before = held(dataset=data)
    data.transform = torch.Generator()
    assert before.drawn(held(dataset=data)) == "dataset.transform"


@pytest.mark.parametrize("change", [{"cache": {0: 1}}, {"length": 20}, {"seen": 1}])
def test_what_is_kept_to_save_work_is_neither_drawn_nor_counted(change: dict[str, object]) -> None:
    transform = Transform()
    before = held(dataset=Transformed(transform))
    if "length" in change:
        del transform.length
        before = held(dataset=Transformed(transform))
    vars(transform).update(change)
    later = held(dataset=Transformed(transform))
    assert (before.drawn(later), before.counted(later)) == (None, [])


def test_what_refers_to_itself_is_looked_through_once() -> None:
    data: Any = TensorDataset(torch.ones(3, 2))
    data.itself = [data, RandomSampler(data)]
    assert held(dataset=data).drawn(held(dataset=data)) is None


def test_a_size_that_is_kept_makes_no_generator_of_torch_s_own_a_new_one() -> None:
    data = Transformed(Transform())
    before = held(dataset=data)
    data.transform.cache[0] = (torch.ones(2), torch.ones(2).shape, torch.float32)
    torch.rand(1)
    assert before.drawn(held(dataset=data)) is None


def test_a_generator_that_a_class_is_given_later_is_a_new_one() -> None:
    kind: Any = type("Kept", (Transformed,), {"rng": None})
    before = held(dataset=kind(None))
    kind.rng = random.Random(0)
    assert before.drawn(held(dataset=kind(None))) == f"{__name__}.Kept.rng"


def test_of_what_is_beside_objects_others_may_draw_too() -> None:
    data = Transformed(random.Random(0))
    before = held(dataset=data)
    data.transform.random()
    assert before.drawn(held(dataset=data)) == "dataset.transform"
    assert before.drawn(held(dataset=data), beside=True) is None
    Transformed.shared.normal()
    name = before.drawn(held(dataset=data), beside=True)
    assert name == f"{__name__}.Transformed.shared"


def test_a_count_is_no_generator() -> None:
    data = Transformed(0)
    before = held(dataset=data)
    data.transform += 1
    later = held(dataset=data)
    assert (before.drawn(later), before.counted(later)) == (None, ["dataset.transform"])


class Hostile:
    """Answers to nothing that it is asked."""

    __slots__ = ("__weakref__",)

    def __getattr__(self, name: str) -> object:
        raise KeyError(name)

    def __repr__(self) -> str:
        raise RuntimeError("it is asked for its name")


class Property:
    """Has attributes that can't be read."""

    __dict__ = property(lambda self: 1 / 0)


def test_what_objects_are_is_seen_without_asking_them() -> None:
    gone = weakref.proxy(Hostile())
    held(kept={Hostile(): Hostile()}, proxy=gone, more=[gone, Hostile(), Property()])


def test_entries_of_long_names_are_told_apart() -> None:
    rngs = {f"{'/a/long/path' * 9}/{number}": random.Random(number) for number in range(3)}
    before = held(kept=rngs)
    next(iter(rngs.values())).random()
    assert before.drawn(held(kept=rngs)) == "kept[0]"
