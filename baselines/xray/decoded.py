"""Images as bytes, decoded and resized once: a file of ``(N, C, S, S)`` in the user's cache.

The file is an array of numpy's, with what is to be known of it behind it, as JSON. Its content is
hashed whenever it is opened: a file that isn't what was written is made again.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from baselines.xray.pixels import Bytes, bits_of, image, picture
from baselines.xray.sources import TRAIN, Listing, Task
from bench.data.cache import cache_folder, signature_of
from bench.errors import BenchError
from bench.machine.environment import usable_cores
from bench.records.files import appearing

__all__ = ["Bytes", "Decoded", "decode", "fill", "image", "of_task", "read", "sha256"]
MADE_BY = "2"
"""Changes with whatever changes what is in the files."""
CHUNK_BYTES = 2**20
T = TypeVar("T")


@dataclass(frozen=True)
class Facts:
    """What is known of a part's decoded images."""

    sha256: str
    rows: list[int]
    """Which of the listing's files they are."""
    bad: list[str]
    """What is wrong with the others."""
    told: dict[str, int]
    """How many were treated in which way."""
    bits: int
    """Of images of 16 bits those that are used; 0: there were none."""


@dataclass(frozen=True)
class Decoded:
    """A part's images ``(N, 1 or 3, size, size)``."""

    images: Bytes
    facts: Facts


def fill(task: Task, size: int, colour: bool, skip_bad: bool = False) -> None:
    """Decode what of a task the cache doesn't hold yet; raise `BenchError` for a bad image."""
    of_task(task, size, colour, mapped=True, skip_bad=skip_bad)


def of_task(
    task: Task, size: int, colour: bool, mapped: bool, skip_bad: bool = False
) -> dict[str, Decoded]:
    """Return the images of every part; those of 16 bits are scaled as the training part's are."""
    train = part(task.parts[TRAIN], size, colour, mapped, skip_bad)
    others = {
        name: part(listing, size, colour, mapped, skip_bad, train.facts.bits)
        for name, listing in task.parts.items()
        if name != TRAIN
    }
    return {TRAIN: train, **others}


def read(listing: Listing, size: int, colour: bool, mapped: bool) -> tuple[Bytes, str]:
    """Return one part's images ``(N, 1 or 3, size, size)`` and the SHA-256 of what was read."""
    found = part(listing, size, colour, mapped)
    return found.images, found.facts.sha256


def part(
    listing: Listing, size: int, colour: bool, mapped: bool, skip_bad: bool = False, bits: int = 0
) -> Decoded:
    """Return one part's images; `mapped` ones are read from the file when they are used.

    The file is made where there is none, or it is damaged, and again when an image was added,
    removed or changed (by name, size and time). `bits` are those of images of 16 bits; 0: as many
    as the brightest of the part needs. Raises `BenchError` for the first bad image, unless bad ones
    are skipped.
    """
    place, key = _names(listing, size, colour, bits)
    path = folder() / f"{place}-{key}.npy"
    shape = (3 if colour else 1, size, size)
    found = _stored(path, shape, mapped)
    if found is None:
        _store(path, decode(listing.files, size, colour, bits, skip_bad))
        for old in folder().glob(f"{place}-*.npy"):
            if old != path:
                old.unlink(missing_ok=True)
        found = _stored(path, shape, mapped)
    if found is None:
        raise BenchError(f"decoded images were written to {folder()} and can't be read back; is the"
                         " disk full?")  # fmt: skip
    if found.facts.bad and not skip_bad:
        raise BenchError(found.facts.bad[0])
    return found


def sha256(images: Bytes) -> str:
    """Return the digest of images, of their shape and content."""
    digest = hashlib.sha256(str(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def folder() -> Path:
    """Return where decoded images are kept."""
    return cache_folder() / "xray"


def decode(
    files: tuple[Path, ...], size: int, colour: bool, bits: int = 0, skip_bad: bool = False
) -> Decoded:
    """Read images from their files, several at a time."""
    bad: dict[int, str] = {}
    depths = _tried(bits_of, files, skip_bad, bad)
    bits = bits or max((depth for _, depth in depths), default=0)
    images = np.empty((len(files), 3 if colour else 1, size, size), dtype=np.uint8)
    rows, told = list[int](), Counter[str]()
    one = functools.partial(picture, size=size, colour=colour, bits=bits)
    for row, made in _tried(one, files, skip_bad, bad):
        images[len(rows)] = made.pixels
        rows.append(row)
        told.update(made.told)
    images, reasons = images[: len(rows)], [bad[row] for row in sorted(bad)]
    if reasons and not rows:
        raise BenchError(f"no image is left, {len(reasons)} are bad; the first: {reasons[0]}")
    return Decoded(images, Facts(sha256(images), rows, reasons, dict(told), bits))


def _tried(
    work: Callable[[Path], T], files: tuple[Path, ...], skip_bad: bool, bad: dict[int, str]
) -> Iterator[tuple[int, T]]:
    """Yield place and result of each file; what is wrong with one goes into `bad`, or is raised."""

    def attempt(file: Path) -> T | BenchError:
        try:
            return work(file)
        except BenchError as error:
            return error

    with ThreadPoolExecutor(usable_cores()) as pool:
        for row, made in enumerate(pool.map(attempt, files)):
            if not isinstance(made, BenchError):
                yield row, made
            elif skip_bad:
                bad[row] = str(made)
            else:
                pool.shutdown(cancel_futures=True)
                raise made


def _names(listing: Listing, size: int, colour: bool, bits: int) -> tuple[str, str]:
    """Return what names the part's file, and what its content follows from."""
    root = listing.folder.resolve()
    place = hashlib.sha256(f"{root} {size} {colour}".encode()).hexdigest()[:16]
    content = f"{MADE_BY} {bits} {signature_of(listing.files)}"
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    return f"{root.parent.name}-{root.name}-{size}-{place}", key


def _stored(path: Path, shape: tuple[int, ...], mapped: bool) -> Decoded | None:
    """Return what a file holds; None where it isn't there, or isn't what was written."""
    try:
        images: Bytes = np.load(path, mmap_mode="c")
        if not isinstance(images, np.memmap) or images.shape[1:] != shape:
            return None
        begin, whole, count = images.offset, images.shape, images.nbytes
        with path.open("rb") as file:
            file.seek(begin)
            if mapped:  # hashed without memory of its own: lazy loading is about memory
                digest = _hashed(file, whole, count)
            else:
                images = np.fromfile(file, np.uint8, count).reshape(whole)
                digest = sha256(images)
            file.seek(begin + count)
            facts = Facts(**json.loads(file.read()))
    except (OSError, ValueError, TypeError, EOFError):
        return None
    if facts.sha256 != digest or len(facts.rows) != len(images):
        return None
    return Decoded(images, facts)


def _hashed(file: BinaryIO, shape: tuple[int, ...], count: int) -> str:
    """Return the digest of the next `count` bytes of a file, as `sha256` does."""
    digest = hashlib.sha256(str(shape).encode())
    while count and (chunk := file.read(min(count, CHUNK_BYTES))):
        digest.update(chunk)
        count -= len(chunk)
    return digest.hexdigest()


def _store(path: Path, made: Decoded) -> None:
    """Write images and facts to a file that appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with appearing(path) as temporary, temporary.open("wb") as file:
        np.save(file, made.images)
        file.write(json.dumps(asdict(made.facts)).encode())
