"""Run in a child what may end a process natively: then one case fails, and no worker is lost."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection

import pytest

SECONDS = 300
"""After which a child is taken for lost."""


def in_child(check: Callable[[], None]) -> None:
    """Run a check in a forked child; fail with what it said, or with the signal that ended it."""
    fork = multiprocessing.get_context("fork")  # starts in milliseconds, with all that is imported
    ours, theirs = fork.Pipe(duplex=False)
    child = fork.Process(target=_report, args=(check, theirs))
    child.start()
    theirs.close()
    said = _said(ours) if ours.poll(SECONDS) else f"no answer after {SECONDS} s"
    child.join(1)
    if child.exitcode is None:
        child.kill()
        child.join()
    if said is None and child.exitcode:
        said = f"killed by {signal.Signals(-child.exitcode).name}"
    if said:
        pytest.fail(said, pytrace=False)


def _report(check: Callable[[], None], theirs: Connection) -> None:
    try:
        check()
        said = ""
    except BaseException as error:  # noqa: BLE001 - handed on to the test that waits for it
        said = f"{type(error).__name__}: {error}"
    theirs.send(said)


def _said(ours: Connection) -> str | None:
    """Return what the child said; None where it ended without a word."""
    try:
        return str(ours.recv())
    except EOFError:
        return None
