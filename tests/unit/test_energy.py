"""Energy counters: which are added, and what happens when one starts anew."""

from __future__ import annotations

import types
from pathlib import Path

import pynvml
import pytest
import torch

from bench.machine import energy
from bench.machine.energy import Counter, joules_between, read_counters


def domain(folder: Path, number: str, name: str, microjoules: int) -> None:
    own = folder / f"intel-rapl:{number}"
    own.mkdir()
    (own / "name").write_text(name + "\n")
    (own / "energy_uj").write_text(f"{microjoules}\n")
    (own / "max_energy_range_uj").write_text("262143328850\n")


def test_packages_are_added_without_the_platform_that_contains_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "RAPL", tmp_path)
    domain(tmp_path, "0", "package-0", 1_000_000)
    domain(tmp_path, "1", "package-1", 2_000_000)
    domain(tmp_path, "2", "psys", 9_000_000)
    domain(tmp_path, "0:0", "core", 500_000)
    assert read_counters("cpu") == {
        "package-0": Counter(1.0, 262143.32885),
        "package-1": Counter(2.0, 262143.32885),
    }


def test_without_counters_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "RAPL", tmp_path)
    assert read_counters("cpu") == {}
    assert joules_between({}, {}) is None


def test_each_counter_wraps_by_itself() -> None:
    before = {"package-0": Counter(95.0, 100.0, 0), "package-1": Counter(10.0, 100.0, 0)}
    after = {"package-0": Counter(3.0, 100.0, 0), "package-1": Counter(14.0, 100.0, 0)}
    assert joules_between(before, after) == 8.0 + 4.0


@pytest.mark.parametrize(("seconds", "joules"), [(262.0, 4.0), (263.0, None)])
def test_a_counter_that_may_have_gone_round_more_than_once_is_unknown(
    seconds: float, joules: float | None
) -> None:
    before = {"package-0": Counter(10.0, 262143.0, at=5.0)}
    after = {"package-0": Counter(14.0, 262143.0, at=5.0 + seconds)}
    assert joules_between(before, after) == joules


def test_a_counter_that_never_starts_anew_is_known_after_any_time() -> None:
    assert joules_between({"gpu": Counter(1.0, at=0.0)}, {"gpu": Counter(9.0, at=1e6)}) == 8.0


def test_a_counter_that_ran_back_without_a_known_range_is_unknown() -> None:
    assert joules_between({"gpu": Counter(5.0)}, {"gpu": Counter(4.0)}) is None


def test_a_counter_that_came_or_went_is_unknown() -> None:
    assert joules_between({"a": Counter(1.0)}, {"a": Counter(2.0), "b": Counter(1.0)}) is None


def test_the_gpu_in_use_is_read_by_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: types.SimpleNamespace(uuid="6a-7b")
    )
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: asked.append(uuid))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", lambda handle: 2500)
    assert read_counters("cuda") == {"GPU-6a-7b": Counter(2.5)}
    assert asked == ["GPU-6a-7b"]
