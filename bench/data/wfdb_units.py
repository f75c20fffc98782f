"""Read in what units a WFDB record's samples are, from its header.

The library that reads records puts 200 where a header gives no gain, and drops letters such as µ:
neither is right to take for granted. The format: physionet.org/physiotools/wag/header-5.htm.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError

MILLIVOLTS = {
    1000.0: ("V", "v", "volt", "volts"),
    1.0: ("mV", "mv", "millivolt", "millivolts"),
    1e-3: ("uV", "uv", "UV", "\u00b5V", "\u00b5v", "\u03bcV", "\u03bcv", "microvolt", "microvolts"),
    1e-6: ("nV", "nv", "nanovolt", "nanovolts"),
}
"""What one of a unit is, by how it is written."""
SCALES = {name: scale for scale, names in MILLIVOLTS.items() for name in names}
CALIBRATION = re.compile(r"(?P<gain>[^(/]+)(\((?P<zero>[^)]*)\))?(/(?P<unit>.*))?")


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the samples of one signal become millivolts."""

    gain: float
    """Sample units of one physical unit; not 0."""
    millivolts: float
    """Of one physical unit."""


def calibrations(header: Path) -> tuple[Calibration, ...]:
    """Read how each signal of a record is calibrated; raise `BenchError`, naming the file.

    A unit that is left out is millivolts, as the format says; a gain that is left out, or 0, means
    that nobody knows.
    """
    lines = [line.split() for line in _text(header).splitlines()]
    lines = [words for words in lines if words and not words[0].startswith("#")]
    if not lines or len(lines[0]) < 2 or not lines[0][1].isdecimal():
        raise BenchError(f"{header} is no header of a record: its first line doesn't say how many"
                         " signals there are; get it again")  # fmt: skip
    if "/" in lines[0][0]:
        raise BenchError(f"{header} is of a record in several segments; join them into one")
    signals = lines[1 : 1 + int(lines[0][1])]
    if len(signals) != int(lines[0][1]):
        raise BenchError(f"{header} announces {lines[0][1]} signals and describes {len(signals)};"
                         " get it again")  # fmt: skip
    return tuple(_calibration(header, number, words) for number, words in enumerate(signals, 1))


def _calibration(header: Path, number: int, words: list[str]) -> Calibration:
    where = f"{header}, signal {number}"
    found = CALIBRATION.fullmatch(words[2]) if len(words) > 2 else None
    try:
        gain = float(found["gain"].replace("_", "?")) if found else 0.0  # 1_0 is Python's alone
    except ValueError:
        raise BenchError(f"{where}: the gain {words[2]} is no number; correct it") from None
    if not found or gain == 0 or not math.isfinite(gain):
        raise BenchError(f"{where} is not calibrated (no gain, or 0): its units are unknown;"
                         " write the gain, such as 1000/mV")  # fmt: skip
    unit = found["unit"] or "mV"
    if unit not in SCALES:
        raise BenchError(f'{where} is in "{unit}", which is no unit of voltage; write V, mV or uV')
    return Calibration(gain, SCALES[unit])


def _text(header: Path) -> str:
    """Return a header's text; of letters beyond ASCII only those of units matter."""
    try:
        content = header.read_bytes()
    except OSError as error:
        raise BenchError(f"{header} can't be read ({error.strerror}); get it again") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
