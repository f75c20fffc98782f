"""What the doctor says of a machine's noise."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch

from bench.cli.doctor import as_text
from bench.machine import peaks

FACTS: dict[str, Any] = {
    "device": "cpu", "peaks": {},
    "environment": {
        "gpus": [], "packages": {}, "cpu": "A", "cores": 2, "memory_bytes": 2**30, "python": "3.11",
        "system": "Linux",
    },
}  # fmt: skip


def said(**noise: Any) -> str:
    return as_text({**FACTS, "noise": {"pairs": 5, **noise}})


def test_the_doctor_says_what_is_found_four_times_in_five() -> None:
    text = said(low=0.98, middle=1.0, high=1.02, effect=0.034)
    assert text.splitlines()[-1] == (
        "noise     the same code against itself: 1.000x [0.980, 1.020] over 5 pairs; an effect of "
        "3.4% is found 4 times in 5, in at most 30 pairs"
    )


def test_a_busy_machine_is_told_so() -> None:
    text = said(low=0.8, middle=1.0, high=1.25, effect=0.2)
    assert text.endswith("this machine is busy: close other programs")


def test_noise_that_could_not_be_measured_is_unknown() -> None:
    assert said(low=None, middle=None, high=None, effect=None).endswith(
        "unknown: the trials failed"
    )


@pytest.mark.parametrize(
    ("flops", "text"),
    [(1.234e12, "1.23 TFLOP/s"), (4.2e8, "420 MFLOP/s"), (3.3e10, "33 GFLOP/s")],
)
def test_a_slow_peak_is_never_rounded_to_nothing(flops: float, text: str) -> None:
    assert peaks.rate(flops) == text


def test_a_slow_product_is_not_made_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def slow(work: functools.partial[object], device: str) -> float:
        tried.append(len(work.args[0]))
        return 0.4

    monkeypatch.setattr(peaks, "_best", slow)
    assert peaks.product_rate("cpu", torch.float32) == 2 * 256**3 / 0.4
    assert tried == [256]
