"""How long inference is timed: enough passes of fast models, few of slow ones."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from torch import Tensor, nn

from bench import inference
from bench.testing import Case
from tests.contract.cases import JOBS


class Slow(nn.Module):
    """Takes so many seconds a call, and counts them."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.calls = seconds, 0

    def forward(self, *inputs: Tensor) -> None:
        self.calls += 1
        time.sleep(self.seconds)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "MOST_SECONDS", 0.02)


def test_a_fast_model_is_timed_many_times() -> None:
    model = Slow(0.0)
    found = inference.measure_inference(Case(f"{JOBS}:ConvNet").job(), model)
    assert [len(each.seconds) for each in found] == [inference.MOST_PASSES] * 2
    assert model.calls == 2 * (inference.MOST_PASSES + inference.WARMUP)


@pytest.mark.usefixtures("short")
def test_a_slow_model_is_warmed_up_once_and_timed_twice() -> None:
    model = Slow(0.03)
    job = replace(Case(f"{JOBS}:ConvNet").job(), model=model)
    found = inference.measure_inference(job, model)
    assert [len(each.seconds) for each in found] == [2, 2]
    assert model.calls == 2 * 3
    assert min(min(each.seconds) for each in found) >= 0.03
