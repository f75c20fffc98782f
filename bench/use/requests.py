"""Read what a request holds: JSON with values, or files as the baseline has them."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.deployment import Item, Use
from bench.errors import BenchError
from bench.records.schema import parse_object

if TYPE_CHECKING:
    from bench.deployment import Floats

MOST_ITEMS = 64
"""In one request."""
LONGEST_NAME = 100
FOR_TRAINING = re.compile(r"(;|, or)[^;]*--skip-bad.*$")
"""Advice that helps who trains on a file, and not who sends one."""


def of_json(body: bytes, use: Use) -> list[Item]:
    """Return the item of ``{"values": [...]}``; raise `BenchError` for anything else."""
    content = parse_object(body, "the body")
    if not isinstance(content, dict) or set(content) != {"values"}:
        raise BenchError('the body has to be {"values": [...]}, and nothing else')
    return [use.take(numbers(content["values"]))]


def of_files(files: Iterable[tuple[str, bytes]], use: Use) -> list[Item]:
    """Return the items of uploaded files; what is said of them names no folder of this machine."""
    with _stored(files) as (folder, paths):
        try:
            items = use.read(paths)
        except BenchError as error:
            said = str(error).replace(f"{folder}/", "")
            raise BenchError(FOR_TRAINING.sub("", said)) from None
    if len(items) > MOST_ITEMS:
        raise BenchError(f"the files hold {len(items)} items; at most {MOST_ITEMS} at once")
    return items


def numbers(values: object) -> Floats:
    """Return nested lists of numbers as an array, a missing value as NaN."""
    if not isinstance(values, list):
        raise BenchError("values have to be a list of numbers, or of lists of them")
    try:
        plain = np.array(values)
        if plain.dtype.kind not in "iuf" and any(map(_is_no_number, plain.ravel().tolist())):
            raise BenchError("values have to be numbers, or null where one is missing")
        with np.errstate(over="ignore"):  # what is too large is refused below
            made: Floats = np.array(values, dtype=np.float64).astype(np.float32)
    except (ValueError, TypeError, OverflowError):
        raise BenchError("values have to be lists of equally many numbers") from None
    if not made.size:
        raise BenchError("values hold no number")
    if np.isinf(made).any():
        raise BenchError("a value is too large")
    return made


def _is_no_number(value: object) -> bool:
    return value is not None and (isinstance(value, bool) or not isinstance(value, int | float))


@contextmanager
def _stored(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[Path, list[Path]]]:
    """Write files to a folder for as long as they are read, under their bare names.

    Raises `BenchError` for two of one name: one would be answered in the place of the other.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, paths = Path(name), list[Path]()
        for file, content in files:
            bare = re.sub(r"[^\w.+-]", "_", Path(file.replace("\\", "/")).name)[-LONGEST_NAME:]
            if not bare.strip("._"):
                raise BenchError("a file has no name")
            path = folder / bare
            if path in paths:
                raise BenchError(f"two files are named {bare}; send them one by one")
            path.write_bytes(content)
            paths.append(path)
        yield folder, paths
