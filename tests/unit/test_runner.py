"""The runner's own promises; what happens to trials is tested with real processes in tests/cli."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from bench.errors import BenchError
from bench.launch import local
from bench.launch.local import Runner
from bench.trial.spec import TrialSpec
from tests.records import recipe

TRIAL = TrialSpec(
    arm="baseline", pair=0, seed=0, kind="build", recipe=recipe(), metric="accuracy", device="cpu",
    threads=1, scratch="unused",
)  # fmt: skip


def test_an_interrupt_that_was_swallowed_ends_the_run_before_the_next_trial() -> None:
    with Runner((), 60) as runner:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            runner.run(TRIAL)


def test_a_runner_gives_the_interrupt_handler_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Runner((), 60):
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize(
    ("pauses", "alone", "ended_at", "stopped", "still"),
    [
        ([0.25, 3600.0, 3600.0], False, 7210.0, 7200.0, ""),
        ([], True, 10.0, 10.0, ", 10 s of it stopped"),
        ([0.25, 3600.0], True, 3610.0, 3610.0, ", 10 s of it stopped"),
    ],
)
def test_a_limit_stands_still_with_the_whole_run_and_not_with_a_trial_that_is_stopped_alone(
    pauses: list[float], alone: bool, ended_at: float, stopped: float, still: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    clock, left = [0.0], [*pauses]

    def wait(runner: Runner, process: object, seconds: float) -> bool:
        clock[0] += left.pop(0) if left else seconds
        return False

    monkeypatch.setattr(local, "monotonic", lambda: clock[0])
    monkeypatch.setattr(local, "is_stopped", lambda pid: alone)
    monkeypatch.setattr(Runner, "_has_ended", wait)
    process: Any = SimpleNamespace(pid=1)
    found = Runner((), 10.0)._watch(process, TRIAL)
    assert clock[0] == ended_at
    assert found.stopped_seconds == stopped
    assert found.late == f"no result after 10 s (--trial-timeout){still}"


def servers() -> list[psutil.Process]:
    """Return the fork servers of this process that run."""
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and "forkserver" in " ".join(child.cmdline())
    ]


def wait_for_servers(count: int) -> None:
    """Wait until so many run; one that starts has no command line for a moment."""
    deadline = time.monotonic() + 60
    while len(servers()) != count:
        assert time.monotonic() < deadline, servers()
        time.sleep(0.01)


def refuse() -> None:
    with Runner((), 60):
        wait_for_servers(1)
        raise BenchError("no such setting")


def test_after_an_error_nothing_goes_on_importing() -> None:
    with pytest.raises(BenchError):
        refuse()
    wait_for_servers(0)
    with Runner((), 60):  # and another can be had
        wait_for_servers(1)
