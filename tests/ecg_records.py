"""Challenge records of a test's own, written byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def write_record(
    folder: Path,
    name: str,
    dx: str | None = "426783006",
    samples: int = 600,
    leads: tuple[str, ...] = LEADS,
    rate: int = 500,
    early: bool = False,
    gain: str | None = None,
    suffix: str = ".mat",
) -> NDArray[np.int16]:
    """Write ``name.hea`` and ``name.mat``; return the samples ``(12, n)``.

    `gain` is what the header says of it, with baseline and unit.
    """
    random = np.random.default_rng(list(name.encode()))
    signal = random.integers(-900, 900, (len(leads), samples)).astype(np.int16)
    spec = "16+24 1000/mV" if early else "16x1+24 1000.0(0)/mV"
    spec = spec if gain is None else f"16+24 {gain}"
    lines = [f"{name} {len(leads)} {rate} {samples} 05-Feb-2020 11:39:16"]
    for lead, values in zip(leads, signal, strict=True):
        check = int(values.sum()) % 65536
        lines.append(f"{name}{suffix} {spec} 16 0 {values[0]} {check} 0 {lead}")
    lines += ["#Age: 74", "#Sex: Male"]
    if dx is not None:
        lines.append(f"#Dx: {dx}" if early else f"# Dx: {dx}")
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    (folder / f"{name}{suffix}").write_bytes(bytes(24) + signal.T.tobytes())
    return signal
