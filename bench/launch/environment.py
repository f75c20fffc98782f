"""The variables that the fork server starts with: quiet threads, and libraries of our own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bench.machine.environment import QUIET_THREADS
from bench.machine.variables import changed, had
from bench.recipes.own_packages import HOME


@contextlib.contextmanager
def for_the_server() -> Iterator[None]:
    """Set the fork server's variables for as long as the block lasts."""
    with changed(_variables()):
        yield


def _variables() -> dict[str, str]:
    """Return what the fork server finds set: what is quiet, and where libraries are taken from.

    Nothing comes from the current folder, and trainpairs' packages come before others of the same
    names in PYTHONPATH. What the user had instead is kept for the programs that a script starts.
    """
    quiet = {name: value for name, value in QUIET_THREADS.items() if name not in os.environ}
    path = os.environ.get("PYTHONPATH")
    ours = {"PYTHONPATH": os.pathsep.join([str(HOME), path])} if path else {}
    return {**quiet, **ours, **had(), "PYTHONSAFEPATH": "1"}
