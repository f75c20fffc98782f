"""Reading records as the challenges publish them: a header and a file of 16-bit samples each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import wfdb

from baselines.ecg_cnn.labels import labels_of
from baselines.ecg_cnn.pack import LEADS, Raw, Skipped
from bench.data.cache import signature_of
from bench.data.files import as_spelled, files_under
from bench.data.wfdb_units import calibrations
from bench.errors import BenchError

RATE_HZ = 500
LEAVE = "leave it out with --skip-bad"
AGAIN = f"get it again from physionet.org, or {LEAVE}"
HEADER, CONTENT = ".hea", (".mat", ".dat")
MOST, NO_VALUE = 2**15 - 1, -(2**15)
"""Of 16 bits: the largest value, and what the format writes where there is none."""
UNREADABLE = (ValueError, IndexError, KeyError, TypeError, OSError, AttributeError)
"""What wfdb raises on files that are not what they should be."""


@dataclass(frozen=True)
class Challenge:
    """A folder of records, at any depth."""

    folder: Path
    name: str
    skip_bad: bool

    @property
    def signature(self) -> str:
        """Change whenever a file of the folder does."""
        return signature_of(files_under(self.folder, (HEADER, *CONTENT)))

    @property
    def samples(self) -> int:
        """Return how many samples all records can have at most."""
        there = (path for path in files_under(self.folder, CONTENT) if path.is_file())
        return sum(path.stat().st_size for path in there) // 2

    def records(self) -> Iterator[Raw | Skipped]:
        """Yield every record in the order of its path; raise `BenchError` for the first bad one."""
        headers = files_under(self.folder, (HEADER,))
        if not headers:
            raise BenchError(f"{self.folder} holds no record (no .hea file); give another folder")
        for header in headers:
            try:
                yield record(header)
            except BenchError as error:
                if not self.skip_bad:
                    raise
                yield Skipped(str(error))


def record(header: Path) -> Raw:
    """Read one record; raise `BenchError`, naming the file, for one that can't serve."""
    if header.suffix != HEADER:
        raise BenchError(f"{header} has to end in {HEADER}; rename it, or {LEAVE}")
    try:
        calibrated = calibrations(header)
    except BenchError as error:
        raise BenchError(f"{error}, or {LEAVE}") from error
    content = _content(header)
    head = _read(header, lambda name: wfdb.rdheader(name))
    names = _leads(header, head)
    if {*head.file_name} != {content.name}:
        raise BenchError(f"{header} names other files than {content.name}; put them in one, or"
                         f" {AGAIN}")  # fmt: skip
    read = _read(header, lambda name: wfdb.rdrecord(name, physical=False), content)
    sums = _read(header, lambda _: np.subtract(read.calc_checksum(), read.checksum), content)
    signal, zeros = np.ascontiguousarray(read.d_signal.T), np.array(read.baseline)
    if (sums % 2**16).any():
        raise BenchError(f"{content} is damaged: its samples don't fit the checksums; {AGAIN}")
    if (signal == NO_VALUE).any():
        raise BenchError(f"{content} holds samples without a value ({NO_VALUE}); {AGAIN}")
    order = [names.index(lead) for lead in LEADS]
    scales = np.array([1 / np.float32(one.gain) * np.float32(one.millivolts) for one in calibrated])
    return Raw(
        header.stem, signal[order].astype(np.int16), scales[order].astype(np.float32),
        zeros[order].astype(np.int16), _labels(header, read.comments),
    )  # fmt: skip


def _read(header: Path, reading: Callable[[str], Any], file: Path | None = None) -> Any:
    """Return what wfdb reads of a record; raise `BenchError`, naming `file`, where it can't."""
    try:
        return reading(str(header.with_suffix("")))
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise BenchError(f"{file or header} can't be read ({reason}); {AGAIN}") from error


def _content(header: Path) -> Path:
    """Return the file of a record's samples."""
    paths = [header.with_suffix(suffix) for suffix in CONTENT]
    content = next((path for path in paths if path.is_file()), paths[0])
    if not content.is_file():
        other = as_spelled(content)
        there = f" (rename {other.name})" if other != content else ""
        raise BenchError(f"{content} is missing although {header.name} is there{there}; {AGAIN}")
    return content


def _leads(header: Path, head: Any) -> list[str]:
    """Return the leads' names; raise `BenchError` for a record that doesn't fit into a pack."""
    names = [str(name).upper() for name in head.sig_name or ()]
    if sorted(names) != sorted(LEADS):
        raise BenchError(f"{header} names the leads {', '.join(names)}, not the twelve; {AGAIN}")
    if head.fs != RATE_HZ:
        raise BenchError(f"{header} is of {head.fs:g} Hz, not {RATE_HZ}; resample it, or {AGAIN}")
    if {*head.fmt} != {"16"} or {*head.samps_per_frame} != {1}:
        kind = f"format {', '.join(sorted({*head.fmt}))}, {max(head.samps_per_frame)} a frame"
        raise BenchError(f"{header} is of {kind}; only format 16, one a frame, is read: {AGAIN}")
    beyond = [zero for zero in head.baseline if not NO_VALUE <= zero <= MOST]
    if beyond:
        raise BenchError(f"{header} has the baseline {beyond[0]}, outside of 16 bits; {AGAIN}")
    return names


def _labels(header: Path, comments: list[str]) -> tuple[str, ...]:
    """Return the labels of a header's lines ``# Dx: ...``, with or without spaces."""
    lines = (re.fullmatch(r"\s*Dx\s*:\s*(.*?)\s*", line, re.IGNORECASE) for line in comments)
    text = ",".join(found[1] for found in lines if found)
    try:
        labels = labels_of(text)
    except ValueError as error:
        raise BenchError(f"{header}: {error}; correct it, or {AGAIN}") from None
    if not labels:
        raise BenchError(f"{header} names no label (Dx); {AGAIN}")
    return labels
