"""Reading records as the challenges publish them: a header and a file of 16-bit samples each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb

from baselines.ecg_cnn.labels import labels_of
from baselines.ecg_cnn.pack import LEADS, Raw, Skipped
from bench.data.cache import signature_of
from bench.errors import BenchError

RATE_HZ = 500
AGAIN = "get it again from physionet.org, or leave it out with --skip-bad"
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
        return signature_of(sorted([*self.folder.rglob("*.hea"), *self.folder.rglob("*.mat")]))

    @property
    def samples(self) -> int:
        """Return how many samples all records can have at most."""
        return sum(path.stat().st_size for path in self.folder.rglob("*.mat")) // 2

    def records(self) -> Iterator[Raw | Skipped]:
        """Yield every record in the order of its path; raise `BenchError` for the first bad one."""
        headers = sorted(self.folder.rglob("*.hea"))
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
    content = header.with_suffix(".mat")
    if not content.is_file():
        raise BenchError(f"{content} is missing although {header.name} is there; {AGAIN}")
    file = header  # what the user has to look at, if it can't be read
    try:
        wfdb.rdheader(str(header.with_suffix("")))
        file = content
        read = wfdb.rdrecord(str(header.with_suffix("")), physical=False)
        names = [str(name).upper() for name in read.sig_name]
        signal = np.ascontiguousarray(read.d_signal.T)
        gains, zeros = np.array(read.adc_gain, np.float32), np.array(read.baseline, np.int16)
        sums = (np.array(read.calc_checksum()) - np.array(read.checksum)) % 2**16
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise BenchError(f"{file} can't be read ({reason}); {AGAIN}") from error
    if sorted(names) != sorted(LEADS):
        raise BenchError(f"{header} names the leads {', '.join(names)}, not the twelve; {AGAIN}")
    if read.fs != RATE_HZ:
        raise BenchError(f"{header} is of {read.fs:g} Hz, not {RATE_HZ}; resample it, or {AGAIN}")
    if sums.any() or not np.isfinite(gains).all() or (gains == 0).any():
        raise BenchError(f"{content} is damaged: its samples don't fit the checksums; {AGAIN}")
    order = [names.index(lead) for lead in LEADS]
    labels = _labels(header, read.comments)
    scales = (1 / gains[order]).astype(np.float32)
    return Raw(header.stem, signal[order].astype(np.int16), scales, zeros[order], labels)


def _labels(header: Path, comments: list[str]) -> tuple[str, ...]:
    """Return the labels of a header's line ``# Dx: ...``, with or without spaces."""
    lines = (re.fullmatch(r"\s*Dx\s*:\s*(.*?)\s*", line) for line in comments)
    text = next((found[1] for found in lines if found), "")
    try:
        labels = labels_of(text)
    except ValueError as error:
        raise BenchError(f"{header}: {error}; correct it, or {AGAIN}") from None
    if not labels:
        raise BenchError(f"{header} names no label (Dx); {AGAIN}")
    return labels
