"""Environment variables: those that trials don't have as the user has, and those of threads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

PYTHON = ("PYTHONPATH", "PYTHONSAFEPATH")
"""Where Python finds modules: in a trial they have values of ours."""
HAD = "BENCH_USER_HAD"
"""Holds, in a trial, the values of these that the user had, as JSON."""
THREADS = ("MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Where torch reads with how many threads it computes; the first counts more."""


def threads_given() -> int | None:
    """Return the threads that the environment gives to torch; None where it gives none."""
    given = (os.environ.get(name, "").strip() for name in THREADS)
    return next((int(text) for text in given if text.isdecimal() and int(text) > 0), None)


def had() -> dict[str, str]:
    """Return the variable by which a trial knows what the user had."""
    return {HAD: json.dumps({name: os.environ[name] for name in PYTHON if name in os.environ})}


@contextmanager
def changed(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables within the block; None unsets one."""
    before = {name: os.environ.get(name) for name in values}
    _put(values)
    try:
        yield
    finally:
        _put(before)


@contextmanager
def as_the_user_had() -> Iterator[None]:
    """Let what is started within the block find modules where the user's own programs do."""
    values: dict[str, str | None] = {}
    if (kept := os.environ.get(HAD)) is not None:
        values = {HAD: None, **dict.fromkeys(PYTHON), **json.loads(kept)}
    with changed(values):
        yield


def _put(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
