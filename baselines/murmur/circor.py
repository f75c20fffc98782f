"""Reading patients as CirCor DigiScope publishes them: a text file each, and its recordings."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from bench.data.cache import signature_of
from bench.data.files import as_spelled, files_in
from bench.errors import BenchError

RATE_HZ = 4000
SHORTEST_SECONDS = 1.0
MURMUR = ("Present", "Unknown", "Absent")
OUTCOME = ("Abnormal", "Normal")
AGAIN = "get it again from physionet.org, or leave it out with --skip-bad"
STREAMED = 2**32 - 1
"""The length of what was written before its length was known."""
UNREADABLE = (ValueError, OSError, EOFError, struct.error, UnboundLocalError)
"""What reading a bad wav file raises; the last where a chunk is missing."""


@dataclass(frozen=True)
class Recording:
    """The sound at one place of the chest."""

    location: str
    samples: NDArray[np.int16]
    """``(n,)`` at 4 kHz."""


@dataclass(frozen=True)
class Patient:
    """One person's labels, as places in `MURMUR` and `OUTCOME`, and recordings."""

    name: str
    person: str
    """The same for one person under two names."""
    murmur: int
    outcome: int
    recordings: tuple[Recording, ...]


@dataclass(frozen=True)
class Skipped:
    """What could not be read, with the reason."""

    reason: str


@dataclass(frozen=True)
class CirCor:
    """A folder of patients."""

    folder: Path
    name: str
    skip_bad: bool

    @property
    def signature(self) -> str:
        """Change whenever a file of the folder does."""
        return signature_of([*self._texts(), *self._sounds()])

    def patients(self) -> Iterator[Patient | Skipped]:
        """Yield patients in the order of their names; raise `BenchError` for the first bad file.

        With `skip_bad` what is bad is left out: a recording, or a patient where all is.
        """
        texts = self._texts()
        if not texts:
            raise BenchError(f"{self.folder} holds no patient (no ID.txt); give another folder")
        named: set[str] = set()
        for text in texts:
            try:
                head = header(text)
            except BenchError as error:
                yield self._skipped(error)
                named |= {
                    path.name for path in self._sounds() if path.name.startswith(f"{text.stem}_")
                }
                continue
            named |= {as_spelled(self.folder / file).name for _, file in head.files}
            yield from self._patient(text, head)
        for path in self._sounds():
            if path.name not in named:
                whose = path.parent / f"{path.stem.partition('_')[0]}.txt"
                there = f"{whose.name} doesn't name it" if whose.is_file() else "it is nobody's"
                said = f"{path} is one recording too many: {there}; remove it, or leave it out"
                yield self._skipped(BenchError(f"{said} with --skip-bad"))

    def _patient(self, text: Path, head: Header) -> Iterator[Patient | Skipped]:
        good = []
        for location, file in head.files:
            try:
                good.append(Recording(location, recording(text, as_spelled(self.folder / file))))
            except BenchError as error:
                yield self._skipped(error)
        if good:
            yield Patient(text.stem, head.person, head.murmur, head.outcome, tuple(good))

    def _skipped(self, error: BenchError) -> Skipped:
        if not self.skip_bad:
            raise error
        return Skipped(str(error))

    def _texts(self) -> list[Path]:
        return [path for path in files_in(self.folder, (".txt",)) if path.stem.isdigit()]

    def _sounds(self) -> list[Path]:
        return files_in(self.folder, (".wav",))


@dataclass(frozen=True)
class Header:
    """What a patient's text file says."""

    person: str
    murmur: int
    outcome: int
    files: tuple[tuple[str, str], ...]
    """Location and wav file of each recording."""


def header(path: Path) -> Header:
    """Read a patient's text file; raise `BenchError`, naming it, for one that can't serve."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        _, count, rate = lines[0].split()
        files = tuple(_file_of(line) for line in lines[1 : 1 + int(count)])
    except (OSError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())[:100]
        raise BenchError(f"{path} can't be read as a patient ({reason}); {AGAIN}") from error
    if int(count) < 1 or len(files) != int(count):
        raise BenchError(f"{path} announces {count} recordings and names {len(files)}; {AGAIN}")
    if rate != str(RATE_HZ):
        raise BenchError(f"{path} is of {rate} Hz, not {RATE_HZ}; resample it, or {AGAIN}")
    matches = [re.match(r"#(.+?):\s*(.*?)\s*$", line) for line in lines]
    said = {match[1]: match[2] for match in matches if match}
    other = said.get("Additional ID", "nan")
    person = path.stem if other in ("nan", "") else min(path.stem, other, key=lambda n: (len(n), n))
    murmur, outcome = _place(path, said, "Murmur", MURMUR), _place(path, said, "Outcome", OUTCOME)
    return Header(person, murmur, outcome, files)


def _file_of(line: str) -> tuple[str, str]:
    parts = line.split()
    sounds = [part for part in parts[1:] if part.lower().endswith(".wav")]
    if len(sounds) != 1:
        raise ValueError(f'the line "{line[:40]}" names no wav file')
    return parts[0], sounds[0]


def _place(path: Path, said: dict[str, str], key: str, classes: tuple[str, ...]) -> int:
    label = said.get(key, "nan")
    if label in classes:
        return classes.index(label)
    what = f'has "{label}" for {key}' if label not in ("", "nan") else f"has no label {key}"
    raise BenchError(f"{path} {what}, not one of {', '.join(classes)}; correct it, or {AGAIN}")


def recording(text: Path, path: Path) -> NDArray[np.int16]:
    """Read one wav file ``(n,)``; raise `BenchError`, naming it, for one that can't serve."""
    if not path.is_file():
        raise BenchError(f"{path} is missing although {text.name} names it; {AGAIN}")
    try:
        _check_whole(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks beside the sound
            rate, samples = wavfile.read(path)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:100]
        raise BenchError(f"{path} can't be read ({reason}); {AGAIN}") from error
    if rate != RATE_HZ:
        raise BenchError(f"{path} is of {rate} Hz, not {RATE_HZ}; resample it, or {AGAIN}")
    if samples.ndim != 1 or samples.dtype.newbyteorder("=") != np.int16:
        kind = f"{samples.dtype}, {1 if samples.ndim == 1 else samples.shape[1]} channels"
        raise BenchError(f"{path} is not mono of 16 bits ({kind}); convert it, or {AGAIN}")
    if len(samples) < SHORTEST_SECONDS * RATE_HZ or samples.min() == samples.max():
        seconds = len(samples) / RATE_HZ
        raise BenchError(f"{path} holds no sound ({seconds:.1f} s, or silence); {AGAIN}")
    made: NDArray[np.int16] = samples.astype(np.int16, copy=False)
    return made


def _check_whole(path: Path) -> None:
    """Refuse a wav file whose sound is announced longer than it is, or not at all."""
    there = path.stat().st_size
    with path.open("rb") as file:
        kind, size = file.read(4), file.read(8)[:4]
        if kind not in (b"RIFF", b"RIFX"):
            return  # what reads it will say so
        order = ">" if kind == b"RIFX" else "<"
        end = 8 + struct.unpack(f"{order}I", size)[0]
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack(f"{order}4sI", head)
            if name == b"data" and STREAMED in (length, end - 8):
                raise BenchError(f"{path} doesn't say how long it is (it was written as a stream);"
                                 f" write it again, or {AGAIN}")  # fmt: skip
            if file.tell() + length > there:
                whole = file.tell() + length
                raise BenchError(f"{path} is cut off: {there:,} of {whole:,} bytes; {AGAIN}")
            if name == b"data" and end < file.tell() + length:
                raise BenchError(
                    f"{path} announces {end:,} bytes in all and more of sound; {AGAIN}"
                )
            if name == b"data":
                return
            file.seek(length + length % 2, 1)
    raise BenchError(f"{path} holds no sound (no data chunk); {AGAIN}")
