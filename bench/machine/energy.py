"""Energy counters of the hardware: read where there is one, never estimated."""

from __future__ import annotations

from pathlib import Path

RAPL = Path("/sys/class/powercap")


def read_joules(device: str) -> float | None:
    """Return a running energy counter of the GPU, or of the CPU packages; None where unmeasured."""
    return _gpu_joules() if device == "cuda" else _cpu_joules()


def _cpu_joules() -> float | None:
    try:
        files = sorted(RAPL.glob("intel-rapl:[0-9]/energy_uj"))
        readings = [int(file.read_text()) for file in files]
    except OSError:  # there, but for root alone
        return None
    return sum(readings) / 1e6 if readings else None


def _gpu_joules() -> float | None:
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
    except pynvml.NVMLError:
        return None
