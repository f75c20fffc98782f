"""How long inference is timed: enough passes of fast models, few of slow ones."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.testing import Case
from bench.trial import inference
from bench.trial.training import train
from tests.contract.cases import JOBS
from tests.jobs import linear_job


class Slow(nn.Module):
    """Takes so many seconds a call, and tells how many calls this copy of it has had."""

    def __init__(self, seconds: float, tell: Callable[[int], None]) -> None:
        super().__init__()
        self.seconds, self.tell, self.calls = seconds, tell, 0

    def forward(self, *inputs: Tensor) -> None:
        self.calls += 1
        self.tell(self.calls)
        time.sleep(self.seconds)


class Locked(Slow):
    """Holds a lock, which can't be copied."""

    def __init__(self, seconds: float, tell: Callable[[int], None]) -> None:
        super().__init__(seconds, tell)
        self.lock = threading.Lock()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "MOST_SECONDS", 0.02)


def test_a_fast_model_is_timed_many_times_at_each_size_by_a_copy_of_its_own() -> None:
    calls: list[int] = []
    model = Slow(0.0, calls.append)
    found = inference.measure_inference(Case(f"{JOBS}:ConvNet").job(), model)
    assert [len(each.seconds) for each in found] == [inference.MOST_PASSES] * 2
    assert calls == [*range(1, inference.MOST_PASSES + inference.WARMUP + 1)] * 2


@pytest.mark.usefixtures("short")
def test_a_slow_model_is_warmed_up_once_and_timed_twice() -> None:
    calls: list[int] = []
    model = Slow(0.03, calls.append)
    job = replace(Case(f"{JOBS}:ConvNet").job(), model=model)
    found = inference.measure_inference(job, model)
    assert [len(each.seconds) for each in found] == [2, 2]
    assert calls == [1, 2, 3] * 2
    assert min(min(each.seconds) for each in found) >= 0.03


def test_a_model_that_can_not_be_copied_is_timed_itself_and_that_is_recorded() -> None:
    calls: list[int] = []
    model = Locked(0.0, calls.append)
    with pytest.raises(TypeError):
        copy.deepcopy(model)
    found = inference.measure_inference(Case(f"{JOBS}:ConvNet").job(), model)
    assert [each.fresh for each in found] == [False, False]
    assert model.calls == len(calls) == 2 * (inference.MOST_PASSES + inference.WARMUP)


def test_a_model_whose_copying_breaks_in_its_own_way_is_a_failure() -> None:
    class Broken(Slow):
        def __deepcopy__(self, memo: object) -> Broken:
            raise ValueError("my own bug")

    with pytest.raises(ValueError, match="my own bug"):
        inference.measure_inference(Case(f"{JOBS}:ConvNet").job(), Broken(0.0, list[int]().append))


class Net(nn.Module):
    """Takes anything."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0]


SAMPLES: dict[str, tuple[Callable[[int], tuple[Any, ...]], list[int]]] = {
    "four items that there are": (lambda n: (torch.ones(4, 8)[:n],), [1, 4]),
    "time first": (lambda n: (torch.ones(35, n), torch.ones(2, n, 8)), [1, 32]),
    "time first, of other lengths": (lambda n: (torch.ones(30 + n, n),), [1, 32]),
    "items in a row": (lambda n: (torch.ones(n * 7, 3),), [1, 32]),
    "a whole graph": (lambda n: (torch.ones(27, 8), torch.eye(27)), [27, 27]),
    "a dictionary": (lambda n: ({"ids": torch.ones(n, 5), "text": None},), [1, 32]),
    "one that there is": (lambda n: (torch.ones(1, 8),), [1, 1]),
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.usefixtures("short")
def test_the_record_says_how_many_items_the_inputs_held(name: str) -> None:
    sample, held = SAMPLES[name]
    job = replace(Case(f"{JOBS}:ConvNet").job(), sample=sample)
    found = inference.measure_inference(job, Net())
    assert [each.items for each in found] == held
    assert [each.asked for each in found] == [1, 32]


@pytest.mark.usefixtures("short")
def test_a_scripted_model_is_timed_once_it_was_trained() -> None:
    model = torch.jit.script(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)))
    job = linear_job(model=model)
    train(job)
    assert [each.items for each in inference.measure_inference(job, model)] == [1, 32]
