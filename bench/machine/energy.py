"""Read the hardware's energy counters where there are any; never estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

RAPL = Path("/sys/class/powercap")
MOST_WATTS = 1000.0
"""No package draws more: a counter can't have gone round twice sooner than by this."""


@dataclass(frozen=True, slots=True)
class Counter:
    """A running counter of joules, and the value past which it starts anew, where that is known."""

    joules: float
    wraps_at: float | None = None
    at: float = field(default_factory=monotonic, compare=False)
    """When it was read, in seconds of the monotonic clock."""


Reading = Mapping[str, Counter]
"""Counters by name; empty where nothing is measured."""


def read_counters(device: str) -> Reading:
    """Read the energy counter of the GPU in use, or those of the CPU packages."""
    return _gpu() if device == "cuda" else _packages()


def joules_between(before: Reading, after: Reading) -> float | None:
    """Return the joules spent between two readings; None where a counter is missing or ran back.

    Each counter may have started anew once, by itself: packages wrap at different times. None, too,
    where so much time has passed that one may have done so more often.
    """
    if not before or before.keys() != after.keys():
        return None
    spent = [_difference(before[name], after[name]) for name in before]
    known = [joules for joules in spent if joules is not None]
    return sum(known) if len(known) == len(spent) else None


def _difference(before: Counter, after: Counter) -> float | None:
    if after.wraps_at is not None and (after.at - before.at) * MOST_WATTS >= after.wraps_at:
        return None
    change = after.joules - before.joules
    if change >= 0:
        return change
    return None if after.wraps_at is None else change + after.wraps_at


def _packages() -> Reading:
    """Read RAPL's packages, without the platform's domain (psys): it contains them already.

    Source: Linux, Documentation/power/powercap/powercap.rst.
    """
    try:
        folders = sorted(RAPL.glob("intel-rapl:[0-9]*"))
        packages = [folder for folder in folders if _name(folder).startswith("package")]
        return {_name(folder): _counter(folder) for folder in packages}
    except OSError:  # there, but for root alone
        return {}


def _name(folder: Path) -> str:
    return (folder / "name").read_text().strip()


def _counter(folder: Path) -> Counter:
    largest = int((folder / "max_energy_range_uj").read_text())
    return Counter(int((folder / "energy_uj").read_text()) / 1e6, largest / 1e6)


def _gpu() -> Reading:
    """Read the counter of torch's current GPU, found by its UUID.

    NVML counts all GPUs from 0, whatever CUDA_VISIBLE_DEVICES hides or reorders.
    """
    import pynvml
    import torch

    try:
        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        joules = float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
    except pynvml.NVMLError:
        return {}
    return {uuid: Counter(joules)}
