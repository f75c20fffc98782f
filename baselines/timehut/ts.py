"""Read .ts files, the form of the UCR and UEA archives, into arrays and labels.

The form is described at www.aeon-toolkit.org (file specifications, .ts): tags that begin with @,
then a line a series, with colons between its channels and before its label. Lines that begin with #
or %, or are empty, are passed over; blanks around values and labels don't count; ``?`` or NaN is a
missing value. Labels are compared without regard to case, as tags are.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
PAIR = re.compile(r"\(([^(),]*),([^(),]*)\)")
EVEN = 1e-3
"""How much steps of time may differ, as a share of the first."""
Channels = list[list[float]]


@dataclass(frozen=True, slots=True)
class Content:
    """The series of a file, each ``(C, T)``, and their labels in lower case."""

    series: list[NDArray[np.float64]]
    labels: list[str]


def tags(file: Path) -> dict[str, list[str]]:
    """Return the words after each tag of a file's header, tags in lower case; {} for no header."""
    found: dict[str, list[str]] = {}
    for _, line in _lines(file):
        name, *words = line.split()
        if not name.startswith("@") or name.lower() == "@data":
            break
        found[name[1:].lower()] = words
    return found


def classifies(header: dict[str, list[str]]) -> bool:
    """Tell whether a file has class labels by its header."""
    return [word.lower() for word in header.get("classlabel", [])][:1] == ["true"]


def read(file: Path) -> Content:
    """Read all series; raise `BenchError`, naming the file and line, for what can't be used."""
    header = tags(file)
    if not classifies(header):
        raise BenchError(f"{file} has no class labels (@classLabel true, then their names); a"
                         " classification set is needed")  # fmt: skip
    names = {word.lower() for word in header["classlabel"][1:]}
    if len(names) != len(header["classlabel"]) - 1 or not names:
        raise BenchError(f"{file}: @classLabel has to name different labels, not different by case"
                         f" alone, after true: {' '.join(header['classlabel'])[:80]}")  # fmt: skip
    stamped, first = _says(header, "timestamps"), None
    content = Content([], [])
    for number, line in _data(file):
        where = f"{file}, line {number}"
        *channels, label = _fields(line, stamped)
        values = [_values(where, text, stamped) for text in channels]
        if label.lower() not in names:
            raise BenchError(f"{where} has the label {label!r}, which the header doesn't name;"
                             " correct it")  # fmt: skip
        first = first or values
        _check(where, values, first, header)
        content.series.append(np.array(values, np.float64))
        content.labels.append(label.lower())
    if not content.series:
        raise BenchError(f"{file} holds no series; get it again")
    return content


def series(file: Path, channels: int) -> Iterator[tuple[NDArray[np.float32], str | None]]:
    """Yield each series ``(C, T)`` of a file, or of lines of one, and its label, if it has one."""
    header = tags(file)
    stamped = _says(header, "timestamps")
    there = False
    for number, line in _data(file) if header else _lines(file):
        where, there = f"{file}, line {number}", True
        fields = _fields(line, stamped)
        labelled = len(fields) > channels
        values = [_values(where, text, stamped) for text in fields[:channels]]
        if len(fields) > channels + 1 or len({len(channel) for channel in values}) != 1:
            raise BenchError(f"{where} is no series of {channels} channels of one length")
        found = np.array(values, np.float32)
        if np.isinf(found).any():
            raise BenchError(f"{where} holds infinite values")
        yield found, fields[channels].lower() or None if labelled else None
    if not there:
        raise BenchError(f"{file} holds no series")


def _check(where: str, values: Channels, first: Channels, header: dict[str, list[str]]) -> None:
    """Refuse a series that doesn't fit the first one or the header."""
    lengths = {len(channel) for channel in values}
    if len(values) != len(first):
        raise BenchError(f"{where} has {len(values)} channels, the first series {len(first)}; get"
                         " the file again")  # fmt: skip
    if _says(header, "univariate") and len(values) > 1:
        raise BenchError(f"{where} has {len(values)} channels, although @univariate is true;"
                         " correct the header")  # fmt: skip
    if len(lengths) != 1:
        raise BenchError(f"{where} has channels of the lengths {sorted(lengths)}; they have to be"
                         " of one")  # fmt: skip
    if not _says(header, "equallength"):
        return
    if len(values[0]) != len(first[0]):
        raise BenchError(f"{where} has {len(values[0])} values a channel, the first series"
                         f" {len(first[0])}, although @equalLength is true; correct one"
                         " of them")  # fmt: skip
    said = header.get("serieslength", [])
    if said and said != [str(len(values[0]))]:
        raise BenchError(f"{where} has {len(values[0])} values a channel, although @seriesLength is"
                         f" {' '.join(said)}; correct one of them")  # fmt: skip


def _fields(line: str, stamped: bool) -> list[str]:
    """Return the text of each channel, then the label."""
    if stamped:  # colons may stand within a time too
        line = re.sub(r"\)\s*:", ")\n", line)
    found = [part.strip() for part in line.split("\n" if stamped else ":")]
    return found if len(found) > 1 else [*found, ""]  # a line without a label has an empty one


def _values(where: str, text: str, stamped: bool) -> list[float]:
    """Return one channel's values; of stamped ones, where the steps of time are even."""
    if not stamped:
        return [_number(where, word) for word in text.split(",")]
    pairs = PAIR.findall(text)
    if PAIR.sub("", text).strip(" ,\t"):
        raise BenchError(f"{where}: {text[:40]!r} is not (time,value),(time,value),...; correct it,"
                         " or write values alone and @timeStamps false")  # fmt: skip
    times = [_seconds(where, time.strip()) for time, _ in pairs]
    steps = np.diff(times)
    if not (steps > 0).all() or not np.allclose(steps, steps[:1], rtol=EVEN, atol=0):
        raise BenchError(f"{where} has times that are not evenly spaced; series are read step by"
                         " step: resample them, and write @timeStamps false")  # fmt: skip
    return [_number(where, value) for _, value in pairs]


def _seconds(where: str, time: str) -> float:
    """Return a time: a number as it is, a date in seconds."""
    try:
        return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return _number(where, time)


def _number(where: str, word: str) -> float:
    if word.strip() == "?":
        return math.nan
    try:
        return float(word.replace("_", "?"))  # 2_0 is a number to Python alone
    except ValueError:
        raise BenchError(f"{where}: {word.strip()[:40]!r} is no number; a missing value is written"
                         " ?") from None  # fmt: skip


def _says(header: dict[str, list[str]], tag: str) -> bool:
    return [word.lower() for word in header.get(tag, [])] == ["true"]


def _data(file: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines after @data."""
    begun = False
    for number, line in _lines(file):
        if begun:
            yield number, line
        elif line.lower() == "@data":
            begun = True
        elif not line.startswith("@"):
            raise BenchError(f"{file}, line {number} comes before @data and is no tag; get the file"
                             " again")  # fmt: skip


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines that say something, without the blanks around them."""
    try:
        with file.open("rb") as raw:
            start = raw.read(3)
        encoding = next((e for mark, e in ENCODINGS.items() if start.startswith(mark)), "utf-8")
        # what isn't ASCII is a comment's, or in a label, where it is the same in both halves
        with file.open(encoding=encoding, errors="backslashreplace") as lines:
            for number, line in enumerate(lines, 1):
                if (text := line.strip()) and not text.startswith(("#", "%")):
                    yield number, text
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BenchError(f"{file} can't be read ({reason[:100]}); get it again") from error
