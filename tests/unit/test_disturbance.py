"""What disturbed a trial is told by what went on around it, and by what is usual in its run."""

from __future__ import annotations

from typing import Any

import pytest

from bench.records.measurement import Measurement, Surroundings, counting
from bench.run.disturbance import REPEATS, Usual, disturbance_of, may_repeat
from tests.records import measurement


def trial(
    waited: float | None = 0.2, cores: float | None = 0.1, throttled: float | None = 0.0,
    gap: float = 0.0, seconds: float = 2.0, **facts: Any,
) -> Measurement:  # fmt: skip
    around = Surroundings(
        waited_seconds=waited, foreign_cores=cores, throttled_seconds=throttled,
        clock_gap_seconds=gap,
    )  # fmt: skip
    return measurement(seconds=seconds, surroundings=around, **facts)


NONE = Usual([])
USUAL = [trial(pair=pair) for pair in range(4)]
BUSY = [trial(pair=pair, waited=1.2, cores=1.5) for pair in range(4)]


def test_a_trial_like_the_others_is_not_disturbed() -> None:
    assert disturbance_of(trial(), Usual(USUAL)) is None
    assert disturbance_of(measurement(), Usual(USUAL)) is None


def test_a_trial_whose_process_stood_still_is_disturbed_even_as_the_first() -> None:
    assert disturbance_of(trial(stopped_seconds=3.0), NONE) == "its process stood still for 3.0 s"
    assert disturbance_of(trial(stopped_seconds=0.3), NONE) is None


def test_a_trial_beside_a_burst_of_load_is_disturbed() -> None:
    assert disturbance_of(trial(waited=1.2, cores=1.5), Usual(USUAL)) == (
        "others used 1.4 more cores than is usual in this run, and it waited for a CPU 50 % more"
        " of the time"
    )


@pytest.mark.parametrize(
    ("facts", "earlier"),
    [
        ({"waited": 1.2, "cores": 1.5}, BUSY),  # the machine is always busy
        ({"waited": 1.2, "cores": 0.1}, USUAL),  # its own threads wait for one another
        ({"waited": 0.2, "cores": 6.0}, USUAL),  # others work, on other cores
        ({"waited": 1.2, "cores": 1.5}, USUAL[:2]),  # nothing is usual yet
        ({"waited": 0.12, "cores": 1.5, "seconds": 0.2}, USUAL),  # too short to tell
        ({"waited": None, "cores": None, "throttled": None}, USUAL),  # the system doesn't say
    ],
)
def test_what_is_no_burst_disturbs_nothing(facts: Any, earlier: list[Measurement]) -> None:
    assert disturbance_of(trial(**facts), Usual(earlier)) is None


def test_a_trial_held_back_by_a_quota_is_disturbed() -> None:
    assert disturbance_of(trial(throttled=1.0), Usual(USUAL)) == (
        "it was throttled 50 % more of the time than is usual"
    )


def test_clocks_that_differ_disturb() -> None:
    assert "clocks differ by 5.0 s" in str(disturbance_of(trial(gap=5.0), NONE))
    assert disturbance_of(trial(gap=0.05), NONE) is None


def test_a_trial_that_gave_nothing_is_not_run_again_for_a_disturbance() -> None:
    assert disturbance_of(trial(stopped_seconds=9.0, status="timed_out"), NONE) is None


def test_trials_are_run_again_within_a_bound() -> None:
    aside = trial(disturbed="a burst", status="failed")
    assert may_repeat(measurement(), USUAL)
    assert not may_repeat(measurement(attempt=REPEATS), USUAL)
    assert not may_repeat(measurement(), [*USUAL, *[aside] * REPEATS])
    assert may_repeat(measurement(), [*USUAL * 5, *[aside] * REPEATS])


def test_a_disturbed_trial_that_was_not_run_again_counts() -> None:
    kept = trial(disturbed="a burst")
    aside = trial(disturbed="a burst", status="failed", pair=1)
    failed = trial(status="failed", pair=2)
    assert counting([kept, aside, failed]) == [kept, failed]
