"""Keep from the user what a library logs and nobody needs here."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO


@contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Let a library's logger say only what is wrong."""
    own = logging.getLogger(logger)
    before = own.level
    own.setLevel(logging.ERROR)
    try:
        yield
    finally:
        own.setLevel(before)


@contextmanager
def unprinted() -> Iterator[None]:
    """Keep what a library prints: torch prints the graph that it can't export, page by page."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield
