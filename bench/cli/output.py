"""Write to the two streams of the command line, whatever they are connected to.

A reader that has gone wants nothing more: that ends neither a run nor changes an exit code. A full
disk is the user's to know of.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import shutil
import sys
from typing import IO, TextIO

from bench.errors import BenchError
from bench.records.text import printable

PLAIN = {
    "×": "x", "−": "-", "–": "-", "µ": "u", "…": "...", "→": "->", "≥": ">=", "≤": "<=", "±": "+-",
}  # fmt: skip
"""What stands for a sign where an encoding has none: a number keeps its minus."""


def prepare() -> None:
    """Let what an encoding can't show be replaced, not be an error, and a closed stream be none."""
    codecs.register_error("bench-plain", _plain)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, _nowhere("r" if name == "stdin" else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="bench-plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for the signs that an encoding can't show."""
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign, "?") for sign in signs), error.end


def _nowhere(mode: str) -> IO[str]:
    """Open a stream that leads nowhere, at the number of a closed one: no file is to get that."""
    number = os.open(os.devnull, os.O_RDWR)
    os.set_inheritable(number, True)
    return os.fdopen(number, mode)


def columns() -> int:
    """Return how wide what is printed may be: the terminal's width, else 100."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100


def tell(text: str, end: str = "\n") -> None:
    """Print what was asked for; raise `BenchError` where it can't be written."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        _discard(sys.stdout)
    except OSError as error:
        _discard(sys.stdout)
        raise BenchError(f"can't write to standard output: {error.strerror}") from None


def say(text: str) -> None:
    """Print a line to stderr; where that can't be done nobody is left to be told."""
    if sys.stderr is None:
        return
    try:
        print(printable(text).replace("\n", " "), file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def finish() -> None:
    """Flush what a library printed; raise `BenchError` where it can't be written."""
    tell("", end="")


def _discard(stream: TextIO) -> None:
    """Let a stream lead nowhere from now on, also when Python flushes it at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
