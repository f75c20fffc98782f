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
from bench.errors import BenchError

PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation",
         "test": "test"}  # fmt: skip
"""Groups of these names are the parts; records of others are dealt out as those of a folder."""
AGAIN = "write it again"


@dataclass(frozen=True)
class Grouped:
    """Signals in millivolts (floats), or 16-bit samples of 1/1000 mV, by group."""

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
                names = _label_names(file, group)
                for row in range(len(group["X"])):
                    try:
                        yield self._record(key, group, row, names)
                    except BenchError as error:
                        if not self.skip_bad:
                            raise
                        yield Skipped(str(error))

    def _record(self, key: str, group: Any, row: int, names: list[str]) -> Raw:
        where = f"{self.file}, record {row} of group {key}"
        try:
            content = group["X"][row]
        except OSError as error:
            raise BenchError(f"{where} can't be read ({error}); {AGAIN}") from error
        length = int(group["lengths"][row])
        if not 0 < length <= len(content):
            raise BenchError(f"{where} has the length {length}, of {len(content)}; {AGAIN}")
        signal = content[:length].T
        if not np.isfinite(signal).all():
            raise BenchError(f"{where} holds samples without a value; {AGAIN}")
        labels = tuple(
            name for name, there in zip(names, group["labels"][row], strict=True) if there
        )
        if not labels:
            raise BenchError(f"{where} has no label; {AGAIN}, or leave it out with --skip-bad")
        samples, scales = in_16_bits(signal)
        part = PARTS.get(key.lower(), "")
        return Raw(f"{key}/{row}", samples, scales, np.zeros(len(LEADS), np.int16), labels, part)


def in_16_bits(signal: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Return samples ``(12, n)`` as int16 and the millivolts of one unit of each lead ``(12,)``."""
    if signal.dtype == np.int16:
        return signal, np.full(len(signal), 1e-3, np.float32)
    scales = (np.abs(signal).max(1) / (2**15 - 1)).astype(np.float32)
    scales[scales == 0] = 1.0
    return np.rint(signal / scales[:, None]).astype(np.int16), scales


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
        if labels.ndim != 2 or not len(x) == len(labels) == len(group["lengths"]):
            raise BenchError(f"{path}: X, labels and lengths of group {key} don't fit; {AGAIN}")
    return groups


def _label_names(file: Any, group: Any) -> list[str]:
    """Return the labels' names, from an attribute ``label_names``, else by number."""
    given = group.attrs.get("label_names", file.attrs.get("label_names"))
    count = group["labels"].shape[1]
    return [f"label {k}" for k in range(count)] if given is None else [str(name) for name in given]
