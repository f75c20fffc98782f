"""Read one image file of any kind as bytes, turned as it is shown.

What isn't known is not guessed: values of 32 bits have no agreed black and white, and are refused.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bench.errors import BenchError

Bytes = NDArray[np.uint8]
SMALLEST = 8
"""Pixels that a side has at least; less is no picture."""
ORIENTATION, PHOTOMETRIC = 0x0112, 262
"""Tags of EXIF and of TIFF; the latter is 0 where white is 0."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""How an image is turned to be shown, by its EXIF orientation."""
ADVICE = "replace it, remove it, or leave it out with --skip-bad"
TURNED = "turned as their EXIF orientation says"
DEEP = "of 16 bits a pixel, scaled by the bits that the training part uses"
TRANSPARENT = "transparent in part, which was not regarded"
SEVERAL = "of several pictures, the first of which was read"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image's bytes ``(C, size, size)``, and what was done that a reader has to know."""

    pixels: Bytes
    told: tuple[str, ...]


def image(file: Path, size: int, colour: bool) -> Bytes:
    """Read one image by itself, ``(1 or 3, size, size)``."""
    return picture(file, size, colour, bits_of(file)).pixels


def bits_of(file: Path) -> int:
    """Return how many bits the largest value of an image of 16 bits needs; 0 for other images."""
    with _opened(file) as opened:
        return _bits(np.asarray(opened)) if opened.mode.startswith("I;16") else 0


def picture(file: Path, size: int, colour: bool, bits: int) -> Picture:
    """Read one image ``(1 or 3, size, size)``; raise `BenchError`, naming it, for a bad one.

    `bits` are those of an image of 16 bits that are used: white is ``2**bits - 1``.
    """
    mode = "RGB" if colour else "L"
    told = list[str]()
    with _opened(file) as opened:
        if getattr(opened, "n_frames", 1) > 1:
            told.append(SEVERAL)
        opened.draft(mode, (size, size))
        deep = _deep_colour(opened)
        opened.load()
        turn = TURNS.get(_orientation(opened))
        if opened.mode in ("I", "F"):
            raise BenchError(f"{file} holds 32-bit values, whose black and white are not known;"
                             f" convert it to 8 or 16 bits, {ADVICE}")  # fmt: skip
        if deep and max(high for _, high in _extrema(opened)) < 128:
            raise BenchError(f"{file} holds 16 bits a colour and uses fewer, of which 8 can't be"
                             f" told; convert it to 8 bits, {ADVICE}")  # fmt: skip
        if opened.mode.startswith("I;16"):
            told.append(DEEP)
            plain = _eight_bits(opened, bits or _bits(np.asarray(opened))).convert(mode)
        else:
            told += [TRANSPARENT] * _transparent(opened)
            plain = opened.convert(mode)
        if turn is not None:
            told.append(TURNED)
            plain = plain.transpose(turn)
        pixels = np.asarray(plain.resize((size, size), Image.Resampling.BILINEAR))
    return Picture(pixels.transpose(2, 0, 1) if colour else pixels[None], tuple(told))


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """Open an image; whatever is wrong with it is a `BenchError` that names it."""
    try:
        with warnings.catch_warnings(), Image.open(file) as opened:
            warnings.simplefilter("ignore")  # Pillow's, on odd metadata
            if min(opened.size) < SMALLEST:
                wide, high = opened.size
                raise BenchError(f"{file} has {wide}x{high} pixels, which is no picture; {ADVICE}")
            yield opened
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, EOFError,
            Image.DecompressionBombError) as error:  # fmt: skip  # Pillow's, on bad files
        said = getattr(error, "strerror", None) or str(error).replace(str(file), "")
        reason = " ".join(said.split())[:120] or type(error).__name__
        raise BenchError(f"{file} can't be read as an image ({reason}); {ADVICE}") from error


def _bits(values: NDArray[Any]) -> int:
    return max(8, int(values.max()).bit_length())


def _eight_bits(opened: Image.Image, bits: int) -> Image.Image:
    """Return an image of 16 bits in its upper 8 of those that are used."""
    values = np.asarray(opened).astype(np.int64)
    if getattr(opened, "tag_v2", {}).get(PHOTOMETRIC) == 0:
        values = 2**bits - 1 - values
    return Image.fromarray((values >> (bits - 8)).clip(0, 255).astype(np.uint8))


def _deep_colour(opened: Image.Image) -> bool:
    """Tell, before it is read, whether a file has 16 bits a colour: Pillow keeps the upper 8."""
    kinds = (tile.args for tile in getattr(opened, "tile", ()))  # every file's image has tiles
    words = (str(kind if isinstance(kind, str) else next(iter(kind or ()), "")) for kind in kinds)
    return not opened.mode.startswith("I") and any(";16" in word for word in words)


def _extrema(opened: Image.Image) -> list[tuple[float, float]]:
    found: Any = opened.convert("RGB").getextrema()  # without alpha
    return list(found)


def _orientation(opened: Image.Image) -> int:
    """Return how a file that was read says it is to be turned, 1 where nothing sensible is said."""
    try:
        return int(opened.getexif().get(ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError, struct.error):
        return 1


def _transparent(opened: Image.Image) -> bool:
    if not opened.has_transparency_data:
        return False
    lowest: Any = opened.convert("RGBA").getchannel("A").getextrema()
    return bool(lowest[0] < 255)
