"""Reading one HDF5 file of groups, each with ``X`` (n, length, 12), ``labels``, ``lengths``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from baselines.ecg_cnn.pack import LEADS, Raw, Skipped
from bench.data.cache import signature_of
from bench.data.wfdb_units import SCALES
from bench.errors import BenchError

PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation",
         "test": "test"}  # fmt: skip
"""Groups of these names are the parts; records of others are dealt out as those of a folder."""
AGAIN = "write it again"


@dataclass(frozen=True)
class Grouped:
    """Signals by group: floats in millivolts, or 16-bit samples of 1/1000 mV.

    An attribute ``units`` of X, of its group or of the file names another unit of both.
    """

    file: Path
    name: str
    skip_bad: bool

    @property
    def signature(self) -> str:
        """Change whenever the file does."""
        return signature_of([self.file])

    @property
    def samples(self) -> int:
        """Return how many samples all records can have at most."""
        with opened(self.file) as file:
            return sum(int(group["X"].size) for group in _groups(self.file, file).values())

    def records(self) -> Iterator[Raw | Skipped]:
        """Yield every record, group by group; raise `BenchError` for the first bad one."""
        with opened(self.file) as file:
            for key, group in _groups(self.file, file).items():
                names = _label_names(self.file, file, group)
                unit = _unit(self.file, group["X"], group, file)
                for row in range(len(group["X"])):
                    try:
                        yield self._record(key, group, row, names, unit)
                    except BenchError as error:
                        if not self.skip_bad:
                            raise
                        yield Skipped(str(error))

    def _record(self, key: str, group: Any, row: int, names: list[str], unit: float | None) -> Raw:
        where = f"{self.file}, record {row} of group {key}"
        try:
            content = group["X"][row]
        except OSError as error:
            raise BenchError(f"{where} can't be read ({error}); {AGAIN}") from error
        length = group["lengths"][row]
        if not (0 < length <= len(content) and length == int(length)):
            raise BenchError(f"{where} has the length {length}, of {len(content)}; {AGAIN}")
        signal = content[: int(length)].T
        if not np.isfinite(signal).all():
            raise BenchError(f"{where} holds samples without a value; {AGAIN}")
        said = group["labels"][row]
        if not np.isin(said, (0, 1)).all():
            raise BenchError(f"{where} has labels that are neither 0 nor 1; {AGAIN}")
        labels = tuple(name for name, there in zip(names, said, strict=True) if there)
        if not labels:
            raise BenchError(f"{where} has no label; {AGAIN}, or leave it out with --skip-bad")
        samples, scales = in_16_bits(signal, unit)
        part = PARTS.get(key.lower(), "")
        return Raw(f"{key}/{row}", samples, scales, np.zeros(len(LEADS), np.int16), labels, part)


def in_16_bits(signal: np.ndarray[Any, Any], unit: float | None = None) -> tuple[Any, Any]:
    """Return samples ``(12, n)`` as int16 and the millivolts of one unit of each lead ``(12,)``.

    `unit` is the millivolts of 1 in `signal`; None: 1, or 1/1000 where it is of 16-bit integers.
    """
    if signal.dtype.kind == "i":
        scale = 1e-3 if unit is None else unit
        return signal.astype(np.int16), np.full(len(signal), scale, np.float32)
    scales = (np.abs(signal).max(1) / (2**15 - 1)).astype(np.float32)
    scales[scales == 0] = 1.0
    samples = np.rint(signal / scales[:, None]).astype(np.int16)
    return samples, scales * np.float32(1.0 if unit is None else unit)


def opened(file: Path) -> Any:
    """Open an HDF5 file for reading; raise `BenchError` for one that is none, or cut off."""
    try:
        return h5py.File(file, "r")
    except OSError as error:
        reason = " ".join(str(error).split())[:120]
        raise BenchError(f"{file} is no whole HDF5 file ({reason}); {AGAIN}") from error


def _groups(path: Path, file: Any) -> dict[str, Any]:
    groups = {key: value for key, value in file.items() if isinstance(value, h5py.Group)}
    if not groups:
        raise BenchError(f"{path} has no groups with X, labels and lengths; {AGAIN}")
    for key, group in groups.items():
        missing = [name for name in ("X", "labels", "lengths") if name not in group]
        if missing:
            raise BenchError(f"{path}: group {key} has no {', '.join(missing)}; {AGAIN}")
        x, labels = group["X"], group["labels"]
        if x.ndim != 3 or x.shape[2] != len(LEADS):
            raise BenchError(f"{path}: X of group {key} is {x.shape}, not (n, length, 12); {AGAIN}")
        if x.dtype.kind != "f" and (x.dtype.kind, x.dtype.itemsize) != ("i", 2):
            raise BenchError(f"{path}: X of group {key} is of {x.dtype}; write floats in mV, or"
                             " 16-bit integers of 1/1000 mV")  # fmt: skip
        if labels.ndim != 2 or not len(x) == len(labels) == len(group["lengths"]):
            raise BenchError(f"{path}: X, labels and lengths of group {key} don't fit; {AGAIN}")
    return groups


def _label_names(path: Path, file: Any, group: Any) -> list[str]:
    """Return the labels' names, from an attribute ``label_names``, else by number."""
    given = group.attrs.get("label_names", file.attrs.get("label_names"))
    count = group["labels"].shape[1]
    if given is None:
        return [f"label {k}" for k in range(count)]
    names = [_text(name) for name in np.atleast_1d(given)]
    if len({*names}) != count:
        raise BenchError(f"{path}: label_names are {len({*names})} different ones, for {count}"
                         f" labels; {AGAIN}")  # fmt: skip
    return names


def _unit(path: Path, *holders: Any) -> float | None:
    """Return the millivolts of the unit that the nearest attribute ``units`` names, or None."""
    said = [_text(holder.attrs["units"]) for holder in holders if "units" in holder.attrs]
    if said and said[0] not in SCALES:
        raise BenchError(
            f'{path} is in "{said[0]}", which is no unit of voltage; write V, mV or uV'
        )
    return SCALES[said[0]] if said else None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
