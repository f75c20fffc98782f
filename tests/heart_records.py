"""Patients of a test's own, in CirCor's form: a text file and wav files each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

PLACES = ("AV", "MV")


def write_patient(
    folder: Path,
    name: str,
    murmur: str | None = "Absent",
    outcome: str | None = "Normal",
    other: str = "nan",
    seconds: float = 2.0,
    rate: int = 4000,
) -> None:
    """Write ``name.txt`` and a recording for each of two places."""
    lines = [f"{name} {len(PLACES)} {rate}"]
    lines += [f"{p} {name}_{p}.hea {name}_{p}.wav {name}_{p}.tsv" for p in PLACES]
    lines += ["#Age: Child", "#Sex: Female"]
    lines += [f"#Murmur: {murmur}"] if murmur is not None else []
    lines += [f"#Outcome: {outcome}"] if outcome is not None else []
    lines += [f"#Additional ID: {other}"]
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    for place in PLACES:
        wavfile.write(folder / f"{name}_{place}.wav", 4000, sound(f"{name}{place}", seconds))


def sound(name: str, seconds: float) -> NDArray[np.int16]:
    """Return noise that belongs to a name."""
    random = np.random.default_rng([*name.encode()])
    return random.integers(-3000, 3000, int(4000 * seconds)).astype(np.int16)


def write_patients(folder: Path, count: int = 30) -> Path:
    """Write patients of all kinds; return their folder."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        murmur = ("Present", "Absent", "Unknown")[number % 3]
        write_patient(folder, f"{100 + number}", murmur, ("Abnormal", "Normal")[number // 3 % 2])
    return folder
