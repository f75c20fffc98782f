"""Checks in a child process fail by themselves, whatever ends the child."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.contract.child import in_child


def abort() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse() -> None:
    raise AssertionError("2 is not 3")


def test_a_check_that_passes_in_a_child_passes() -> None:
    in_child(lambda: None)


@pytest.mark.parametrize(
    ("check", "said"), [(abort, "killed by SIGKILL"), (refuse, "AssertionError: 2 is not 3")]
)
def test_a_check_that_ends_in_a_child_fails_and_says_how(
    check: Callable[[], None], said: str
) -> None:
    with pytest.raises(pytest.fail.Exception, match=said):
        in_child(check)
