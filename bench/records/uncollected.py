"""Spare Python's search for cycles what holds none: records, and modules that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def leave_out() -> None:
    """Leave what there is now out of all later searches."""
    gc.freeze()


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the search for cycles, and leave what there is then out of all later ones.

    It would look through all records again and again; they go when nothing names them any more.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        leave_out()
        if was:
            gc.enable()
