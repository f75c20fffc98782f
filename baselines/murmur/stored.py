"""The spectrograms of all recordings, made once: a file of 16-bit floats in the user's cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from baselines.murmur.circor import Patient, Skipped
from baselines.murmur.spectrogram import log_mels
from bench.errors import BenchError
from bench.records.files import appearing

MADE_BY = "1"
"""Changes with whatever changes what is in the file."""


class Source(Protocol):
    """Where patients come from."""

    @property
    def name(self) -> str:
        """Return the data set's name."""

    @property
    def signature(self) -> str:
        """Return a text that changes when the patients do."""

    def patients(self) -> Iterator[Patient | Skipped]:
        """Yield every patient in a fixed order."""


@dataclass(frozen=True)
class Spectrograms:
    """All recordings, one behind the other, and whose they are."""

    name: str
    frames: NDArray[np.float16]
    """``(all frames, mels)``."""
    starts: NDArray[np.int64]
    """Of each recording the first frame; and, last, the end ``(R + 1,)``."""
    owners: NDArray[np.int64]
    """Of each recording the patient's row ``(R,)``."""
    people: tuple[str, ...]
    """Of each patient who it is: the same for one person under two names."""
    names: tuple[str, ...]
    murmur: NDArray[np.int64]
    outcome: NDArray[np.int64]
    skipped: tuple[str, ...]
    sha256: str

    def of(self, recording: int) -> NDArray[np.float16]:
        """Return one recording's spectrogram ``(frames, mels)``."""
        return self.frames[self.starts[recording] : self.starts[recording + 1]]


def write(source: Source, mels: int, hop_ms: int, path: Path) -> None:
    """Make the spectrograms of all patients; `path` appears only when it is whole."""
    signature = _signed(source, mels, hop_ms)
    parts: list[NDArray[np.float16]] = []
    owners, skipped, patients = list[int](), list[str](), list[Patient]()
    for found in source.patients():
        if isinstance(found, Skipped):
            skipped.append(found.reason)
            continue
        owners += [len(patients)] * len(found.recordings)
        parts += [log_mels(one.samples, mels, hop_ms).T for one in found.recordings]
        patients.append(found)
    frames = np.concatenate(parts) if parts else np.zeros((0, mels), np.float16)
    facts = {
        "name": source.name, "signature": signature, "skipped": skipped,
        "names": [p.name for p in patients], "people": [p.person for p in patients],
        "murmur": [p.murmur for p in patients], "outcome": [p.outcome for p in patients],
    }  # fmt: skip
    starts = np.cumsum([0, *(len(part) for part in parts)])
    with appearing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file, frames=frames, starts=starts, owners=np.array(owners, np.int64),
            facts=np.array(json.dumps(facts)),
        )  # fmt: skip


def load(path: Path, source: Source, mels: int, hop_ms: int) -> Spectrograms | None:
    """Read the file; None where there is none, or it is of other patients or settings."""
    try:
        with np.load(path, allow_pickle=False) as file:
            facts: dict[str, Any] = json.loads(str(file["facts"]))
            if facts["signature"] != _signed(source, mels, hop_ms):
                return None
            arrays: dict[str, Any] = {name: file[name] for name in ("frames", "starts", "owners")}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    digest = hashlib.sha256(np.ascontiguousarray(arrays["frames"]).tobytes())
    labels: dict[str, Any] = {
        name: np.array(facts[name], np.int64) for name in ("murmur", "outcome")
    }
    for part in (arrays["starts"], arrays["owners"], *labels.values()):
        digest.update(part.tobytes())
    digest.update(json.dumps(facts["people"]).encode())  # who is in which fold follows from it
    return Spectrograms(
        name=facts["name"], **arrays, **labels, people=tuple(facts["people"]),
        names=tuple(facts["names"]), skipped=tuple(facts["skipped"]), sha256=digest.hexdigest(),
    )  # fmt: skip


def made(source: Source, mels: int, hop_ms: int, path: Path) -> tuple[Spectrograms, bool]:
    """Return the spectrograms, and whether they had to be made."""
    found = load(path, source, mels, hop_ms)
    if found is not None:
        return found, False
    write(source, mels, hop_ms, path)
    found = load(path, source, mels, hop_ms)
    if found is None:
        raise BenchError(f"spectrograms were written to {path} and can't be read back")
    return found, True


def _signed(source: Source, mels: int, hop_ms: int) -> str:
    return f"{MADE_BY} {source.signature} {mels} mels every {hop_ms} ms"
