"""The clocks of a trial are held against each other, and what went on around it is read."""

from __future__ import annotations

import time

import pytest

from bench.machine.surroundings import Clocks, Snapshot, turned_clock

BEFORE = Clocks(100.0, 50.0, 50.0, 1e9)


def after(monotonic: float, counter: float, current: float) -> Clocks:
    return Clocks(100 + monotonic, 50 + counter, 50 + current, 1e9 + monotonic)


def test_clocks_that_agree_are_trusted() -> None:
    assert turned_clock(BEFORE, after(10, 10.01, 9.99)) is None


def test_a_clock_that_was_turned_is_named_with_both_times() -> None:
    assert turned_clock(BEFORE, after(10, 10, 0.1)) == (
        "time.perf_counter says that 0.1 s passed while it trained, the monotonic clock 10 s: its"
        " times can't be trusted"
    )
    assert "the performance counter says that 9 s" in str(turned_clock(BEFORE, after(10, 9, 10)))


def test_a_replaced_perf_counter_is_found_and_a_replaced_time_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Clocks.read()
    real, calendar = time.perf_counter, time.time
    monkeypatch.setattr(time, "time", lambda: calendar() - 1e9)
    assert turned_clock(before, Clocks.read()) is None
    monkeypatch.setattr(time, "perf_counter", lambda: real() / 100)
    assert "time.perf_counter says" in str(turned_clock(before, Clocks.read()))


def test_what_others_use_is_told_or_unknown() -> None:
    before = Snapshot.take()
    found = Snapshot.take().since(before)
    assert found.keys() == {
        "waited_seconds", "foreign_cores", "throttled_seconds", "clock_gap_seconds",
    }  # fmt: skip
    assert all(value is None or value >= 0 for value in found.values())
