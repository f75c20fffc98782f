"""The pack: all records of a data set in one HDF5 file, 16 bits a sample, one read a record.

HDF5's chunks are all of one size, so one chunk a record would pad each to the longest. Instead the
records lie one behind the other in one contiguous dataset, at known places: a record is read by one
positional read into the memory that it is wanted in, without HDF5 in between.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.records.files import appearing

FORMAT = 2
"""Changes with whatever changes what is in a pack."""
LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
COLUMNS = ("starts", "lengths", "scales", "zeros")


@dataclass(frozen=True)
class Raw:
    """One record: samples ``(12, n)`` as int16, and what they mean."""

    name: str
    samples: NDArray[np.int16]
    scales: NDArray[np.float32]
    """Millivolts of one unit of each lead ``(12,)``."""
    zeros: NDArray[np.int16]
    """The sample value of 0 mV of each lead ``(12,)``."""
    labels: tuple[str, ...]
    part: str = ""
    """train, validation or test, where the source says so."""


@dataclass(frozen=True)
class Skipped:
    """A record that could not be read, with the reason."""

    reason: str


class Source(Protocol):
    """Where records come from."""

    @property
    def name(self) -> str:
        """Return the data set's name."""

    @property
    def signature(self) -> str:
        """Return a text that changes when the records do."""

    @property
    def samples(self) -> int:
        """Return how many samples, of all leads, there are at most."""

    def records(self) -> Iterator[Raw | Skipped]:
        """Yield every record in a fixed order."""


def write(source: Source, path: Path) -> None:
    """Pack all records of a source into `path`, which appears only when it is whole."""
    signature = source.signature
    with appearing(path) as temporary:
        try:
            with h5py.File(temporary, "w") as file:
                _fill(file, source)
                file.attrs.update(format=FORMAT, name=source.name, signature=signature)
        except OSError as error:
            raise BenchError(f"can't pack {source.name} into {path} ({error})") from error


def _fill(file: Any, source: Source) -> None:
    signals = file.create_dataset("signals", (source.samples,), np.int16)
    digest, position, skipped = hashlib.sha256(), 0, []
    rows: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, "names", "labels", "parts")}
    for found in source.records():
        if isinstance(found, Skipped):
            skipped.append(found.reason)
            continue
        end = position + found.samples.size
        signals[position:end] = found.samples.reshape(-1)
        row = (position, found.samples.shape[1], found.scales, found.zeros,
               found.name, json.dumps(found.labels), found.part)  # fmt: skip
        for values, value in zip(rows.values(), row, strict=True):
            values.append(value)
        digest.update(np.ascontiguousarray(found.samples).data)
        digest.update(_facts(found.scales, found.zeros, found.labels, found.part))
        position = end
    for name, values in rows.items():
        text = name not in COLUMNS
        file.create_dataset(name, data=values, dtype=h5py.string_dtype() if text else None)
    file.attrs.update(sha256=digest.hexdigest(), skipped=json.dumps(skipped))


def _facts(
    scales: NDArray[np.float32], zeros: NDArray[np.int16], labels: Sequence[str], part: str
) -> bytes:
    """Return what is hashed of a record beside its samples."""
    return scales.tobytes() + zeros.tobytes() + json.dumps([labels, part]).encode()


def is_current(path: Path, source: Source) -> bool:
    """Tell whether a pack is there, holds what was written, and is of the source as it is now."""
    try:
        with h5py.File(path, "r") as file:
            facts = dict(file.attrs)
        if facts.get("format") != FORMAT or facts.get("signature") != source.signature:
            return False
        pack = load(path)
        return pack.digest() == pack.sha256
    except (BenchError, OSError, RuntimeError, KeyError, ValueError, TypeError):  # of what is torn
        return False


@dataclass
class Pack:
    """A pack that is read from; each process opens the file for itself."""

    path: Path
    name: str
    sha256: str
    names: list[str]
    labels: list[tuple[str, ...]]
    parts: list[str]
    skipped: list[str]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    scales: NDArray[np.float32]
    zeros: NDArray[np.int16]
    offset: int
    """Where in the file the samples begin, in bytes."""
    _opened: dict[int, int] = field(default_factory=dict)
    not_remembered: ClassVar[tuple[str, ...]] = ("_opened",)
    """By `bench.remembering`: files are opened again."""

    def __len__(self) -> int:
        return len(self.names)

    def read(self, rows: Sequence[int], length: int) -> NDArray[np.float32]:
        """Return records in millivolts ``(N, 12, length)``, padded with zeros or cut."""
        made = np.zeros((len(rows), len(LEADS), length), np.float32)
        longest = max((int(self.lengths[row]) for row in rows), default=0)
        buffer = np.empty(len(LEADS) * longest, np.int16)
        for record, row in zip(made, rows, strict=True):
            samples = self._samples(int(row), buffer)[:, :length]
            inside = record[:, : samples.shape[1]]
            np.multiply(samples, self.scales[row][:, None], out=inside)
            if self.zeros[row].any():
                inside -= (self.zeros[row] * self.scales[row])[:, None]
        return made

    def digest(self) -> str:
        """Return the SHA-256 of all records as they are read now, which is `sha256` if whole."""
        digest = hashlib.sha256()
        buffer = np.empty(len(LEADS) * int(self.lengths.max(initial=0)), np.int16)
        for row, labels in enumerate(self.labels):
            digest.update(self._samples(row, buffer).data)
            digest.update(_facts(self.scales[row], self.zeros[row], labels, self.parts[row]))
        return digest.hexdigest()

    def _samples(self, row: int, buffer: NDArray[np.int16]) -> NDArray[np.int16]:
        """Read one record into `buffer`; return it as ``(12, n)``."""
        wanted = buffer[: len(LEADS) * int(self.lengths[row])]
        place = self.offset + 2 * int(self.starts[row])
        if os.preadv(self._file(), [wanted.data.cast("B")], place) != wanted.nbytes:
            raise BenchError(
                f"{self.path} ends in the midst of record {self.names[row]}; delete it"
            )
        return wanted.reshape(len(LEADS), -1)

    def _file(self) -> int:
        """Return this process's handle of the file: a forked worker opens its own."""
        own = os.getpid()
        if own not in self._opened:
            self._opened[own] = os.open(self.path, os.O_RDONLY)
        return self._opened[own]


def load(path: Path) -> Pack:
    """Open a pack; raise `BenchError` for a file that is none."""
    try:
        with h5py.File(path, "r") as file:
            facts, columns = dict(file.attrs), {name: file[name][()] for name in COLUMNS}
            text = {n: list(file[n].asstr()[()]) for n in ("names", "labels", "parts")}
            offset = file["signals"].id.get_offset()
    except (OSError, KeyError) as error:
        raise BenchError(f"{path} is no pack of records ({error}); delete it") from error
    return Pack(
        path=path, name=str(facts["name"]), sha256=str(facts["sha256"]), names=text["names"],
        labels=[tuple(json.loads(labels)) for labels in text["labels"]], parts=text["parts"],
        skipped=json.loads(facts["skipped"]), offset=int(offset or 0), **columns,
    )  # fmt: skip
