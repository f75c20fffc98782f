"""In which units a published number may be, of what is measured in seconds, bytes and FLOPs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SECONDS: Mapping[str, float] = MappingProxyType(
    {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "min": 60.0, "h": 3600.0}
)
BYTES: Mapping[str, float] = MappingProxyType({
    "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
    "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3,
})  # fmt: skip
FLOPS: Mapping[str, float] = MappingProxyType(
    {"FLOPs": 1.0, "kFLOPs": 1e3, "MFLOPs": 1e6, "GFLOPs": 1e9, "TFLOPs": 1e12}
)
COUNTS: Mapping[str, float] = MappingProxyType({"parameters": 1.0, "k": 1e3, "M": 1e6, "B": 1e9})
OF: Mapping[str, Mapping[str, float]] = MappingProxyType({
    **dict.fromkeys(("step time", "time", "training time", "epoch time"), SECONDS),
    **dict.fromkeys(("memory", "file size"), BYTES),
    **dict.fromkeys(("training FLOPs", "FLOPs"), FLOPS),
    **dict.fromkeys(("parameters", "trainable parameters"), COUNTS),
})  # fmt: skip
SHARES = frozenset({"%", "percent", "point", "points", "pp"})
"""What a metric is not in: it has its own unit."""


def unit_of(quantity: str, unit: str) -> str:
    """Return the unit that a number of a quantity is in, where it names none: of counts none."""
    known = OF.get(quantity)
    return unit or ("" if known in (None, COUNTS) else next(iter(known)))


def scale_of(quantity: str, unit: str) -> float:
    """Return how much of what is measured one of a unit is; raise `ValueError` for another unit."""
    known = OF.get(quantity)
    if known is None:
        if unit.strip().lower() in SHARES:
            raise ValueError(
                f"unit: {unit} of a metric; claim it in the metric's own unit (0.98 for 98 % of "
                "one in 0 to 1) and leave unit out, or give a formula"
            )
        return 1.0
    if unit and unit not in known:
        raise ValueError(f"unit: {quantity} is in {', '.join(known)}, not in {unit}; write one of "
                         "these, or a formula of `measured`")  # fmt: skip
    return known[unit] if unit else 1.0
