"""The clock of the training loop, with time made up."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from bench.trial.timing import Clock, StepTime, Timeline


class Watch:
    """A clock that a test moves by hand; CPU time runs twice as fast."""

    def __init__(self) -> None:
        self.now = 100.0

    def spend(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    made = Watch()
    monkeypatch.setattr(time, "perf_counter", lambda: made.now)
    monkeypatch.setattr(time, "process_time", lambda: 2 * made.now)
    return made  # type: ignore[return-value]  # a fixture may be a value


def two_steps(watch: Watch) -> Timeline:
    """Spend 1 s on a schedule, two steps of 2 + 3 + 4 + 0.5 s, and 0.25 s after them."""
    clock = Clock(torch.device("cpu"))
    clock.resume()
    watch.spend(1)
    clock.mark("schedule")
    for _ in range(2):
        for phase, seconds in (("data_wait", 2), ("forward", 3), ("backward", 4)):
            watch.spend(seconds)
            clock.mark(phase)
        watch.spend(0.5)
        clock.end_step(items=8)
    watch.spend(0.25)
    clock.pause("data_wait")
    return clock.timeline


def test_a_step_takes_what_lies_between_its_ends(watch: Watch) -> None:
    first, second = two_steps(watch).steps
    assert (first.wall, second.wall) == (10.5, 9.5)
    assert (first.cpu, second.cpu) == (21, 19)
    assert first.items == 8


def test_the_phases_of_a_step_add_up_to_it(watch: Watch) -> None:
    for step in two_steps(watch).steps:
        assert sum(step.phases.values()) == pytest.approx(step.wall)


def test_phases_are_named_and_the_rest_is_other(watch: Watch) -> None:
    first, second = two_steps(watch).steps
    assert first.phases == {
        "schedule": 1, "data_wait": 2, "forward": 3, "backward": 4, "other": 0.5,
    }  # fmt: skip
    assert second.phases == {"data_wait": 2, "forward": 3, "backward": 4, "other": 0.5}


def test_what_follows_the_last_step_is_kept_apart(watch: Watch) -> None:
    assert two_steps(watch).between == [(2, "data_wait", 0.25)]


def test_the_whole_is_the_sum_of_steps_and_what_lies_between(watch: Watch) -> None:
    timeline = two_steps(watch)
    assert timeline.seconds == 10.5 + 9.5 + 0.25
    assert sum(timeline.phase_seconds(0).values()) == pytest.approx(timeline.seconds)


def test_time_while_the_clock_is_paused_does_not_count(watch: Watch) -> None:
    clock = Clock(torch.device("cpu"))
    clock.resume()
    watch.spend(1)
    clock.end_step(1)
    clock.pause("data_wait")
    watch.spend(1000)
    clock.resume()
    watch.spend(2)
    clock.pause("stop")
    assert clock.timeline.seconds == 3
    assert clock.timeline.phase_seconds(0) == {"other": 1, "data_wait": 0, "stop": 2}


def test_a_phase_marked_twice_adds_up(watch: Watch) -> None:
    clock = Clock(torch.device("cpu"))
    clock.resume()
    for seconds in (1, 2):
        watch.spend(seconds)
        clock.mark("forward")
    clock.end_step(1)
    assert clock.timeline.steps == []  # nothing is worked out while the clock runs
    clock.pause("data_wait")
    assert clock.timeline.steps[0].phases["forward"] == 3


def timeline(steps: int) -> Timeline:
    made = [StepTime(1.0, 2.0, 8, {"forward": 1.0}) for _ in range(steps)]
    return Timeline(made, [(0, "early", 10.0), (steps, "late", 20.0)])


def test_a_window_begins_after_the_warm_up() -> None:
    assert timeline(10).window_seconds(4) == 6 + 20
    assert timeline(10).phase_seconds(4) == {"forward": 6, "late": 20}
    assert timeline(10).seconds == 10 + 10 + 20


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (3, 0), (4, 1), (10, 2), (20, 5), (900, 5)])
def test_the_warm_up_is_five_steps_or_a_quarter_of_a_short_training(
    steps: int, warmup: int
) -> None:
    assert timeline(steps).warmup == warmup
