"""What speaks against a technique on this machine is said before it is measured."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.run.start import cautions
from optimizers.ema import Ema
from optimizers.mixed_precision import MixedPrecision

SLOWER = "mixed-precision: this CPU has no bf16 instructions, and computes them by others: "


def test_a_cpu_without_bf16_is_said_once_for_all_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizers.mixed_precision.has_bf16", lambda: False)
    mixed = ("mixed-precision", MixedPrecision())
    (said,) = cautions([[mixed], [("ema", Ema()), mixed]], "cpu")
    assert said.startswith(SLOWER)
    assert cautions([[mixed]], "cuda") == []


def test_a_cpu_with_bf16_needs_no_caution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimizers.mixed_precision.has_bf16", lambda: True)
    assert cautions([[("mixed-precision", MixedPrecision())]], "cpu") == []


def test_instructions_that_onednn_may_not_use_don_t_count() -> None:
    asked = "from bench.machine.device import has_bf16 as h; import platform as p; "
    asked += "print(h() and p.machine().lower() in ('x86_64', 'amd64'))"
    said = subprocess.run(
        [sys.executable, "-c", asked], env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.strip() == "False"
