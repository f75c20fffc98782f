"""Images as bytes, decoded and resized once: a file of ``(N, C, S, S)`` in the user's cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from baselines.xray.sources import Listing, Task
from bench.data.cache import cache_folder
from bench.errors import BenchError
from bench.machine.environment import usable_cores

Bytes = NDArray[np.uint8]
SMALLEST = 8
"""Pixels that a side has at least; less is no picture."""
MADE_BY = "1"
"""Changes with whatever changes what is in the files."""


def fill(task: Task, size: int, colour: bool) -> None:
    """Decode what of a task the cache doesn't hold yet; raise `BenchError` for a bad image."""
    for listing in task.parts.values():
        read(listing, size, colour, mapped=True)


def read(listing: Listing, size: int, colour: bool, mapped: bool) -> tuple[Bytes, str]:
    """Return a part's images ``(N, 1 or 3, size, size)`` and their SHA-256.

    `mapped` ones are read from the file when they are used. The file is made where there is none,
    and again when an image was added, removed or changed (by name, size and time).
    """
    place, key = _names(listing, size, colour)
    shape = (len(listing.files), 3 if colour else 1, size, size)
    found = _stored(f"{place}-{key}", shape, mapped)
    if found is None:
        images = decode(listing.files, size, colour)
        _store(folder() / f"{place}-{key}-{sha256(images)}.npy", images)
        for old in folder().glob(f"{place}-*.npy"):
            if not old.name.startswith(f"{place}-{key}"):
                old.unlink(missing_ok=True)
        found = _stored(f"{place}-{key}", shape, mapped)
    if found is None:
        raise BenchError(f"decoded images were written to {folder()} and can't be read back; is the"
                         " disk full?")  # fmt: skip
    return found


def sha256(images: Bytes) -> str:
    """Return the digest of images, of their shape and content."""
    digest = hashlib.sha256(str(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def folder() -> Path:
    """Return where decoded images are kept."""
    return cache_folder() / "xray"


def decode(files: tuple[Path, ...], size: int, colour: bool) -> Bytes:
    """Read images from their files, several at a time, ``(N, C, size, size)``."""
    made = np.empty((len(files), 3 if colour else 1, size, size), dtype=np.uint8)
    with ThreadPoolExecutor(usable_cores()) as pool:
        rows = pool.map(lambda file: image(file, size, colour), files)
        for index, row in enumerate(rows):
            made[index] = row
    return made


def image(file: Path, size: int, colour: bool) -> Bytes:
    """Read one image of any mode (grey, 16 bits, palette, CMYK), ``(C, size, size)``."""
    mode = "RGB" if colour else "L"
    try:
        with warnings.catch_warnings(), Image.open(file) as opened:
            warnings.simplefilter("ignore")  # Pillow's, on odd metadata
            if min(opened.size) < SMALLEST:
                wide, high = opened.size
                raise BenchError(f"{file} has {wide}x{high} pixels, which is no picture; remove it")
            opened.draft(mode, (size, size))
            plain = _eight_bits(opened).convert(mode)
            pixels = np.asarray(plain.resize((size, size), Image.Resampling.BILINEAR))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, EOFError,
            Image.DecompressionBombError) as error:  # fmt: skip  # Pillow's, on bad files
        reason = " ".join(str(error).replace(str(file), "").split())[:120] or type(error).__name__
        raise BenchError(f"{file} can't be read as an image ({reason}); replace it, or remove it"
                         ) from error  # fmt: skip
    return pixels.transpose(2, 0, 1) if colour else pixels[None]


def _eight_bits(opened: Image.Image) -> Image.Image:
    """Return an image of 8 bits a channel; of 16 the upper ones."""
    if not opened.mode.startswith("I"):
        return opened
    return Image.fromarray((np.asarray(opened).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))


def _names(listing: Listing, size: int, colour: bool) -> tuple[str, str]:
    """Return what names the part's file, and what its content follows from."""
    root = listing.folder.resolve()
    place = hashlib.sha256(f"{root} {size} {colour}".encode()).hexdigest()[:16]
    digest = hashlib.sha256(MADE_BY.encode())
    for file in listing.files:
        facts = file.stat()
        name = file.relative_to(listing.folder)
        digest.update(f"{name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return f"{root.parent.name}-{root.name}-{size}-{place}", digest.hexdigest()[:16]


def _stored(start: str, shape: tuple[int, ...], mapped: bool) -> tuple[Bytes, str] | None:
    """Return a file's array and its digest; None where it isn't there, or isn't whole."""
    for path in folder().glob(f"{start}-*.npy"):
        try:
            found = np.load(path, mmap_mode="c" if mapped else None)
        except (OSError, ValueError, EOFError):
            continue
        if found.shape == shape and found.dtype == np.uint8:
            return found, path.stem.rpartition("-")[2]
    return None


def _store(path: Path, images: Bytes) -> None:
    """Write under a temporary name, then rename: what others read is whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".npy", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, images)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BenchError(
            f"decoded images can't be kept in {path.parent} ({error.strerror or error}); make room,"
            " or choose another place with XDG_CACHE_HOME"
        ) from error
