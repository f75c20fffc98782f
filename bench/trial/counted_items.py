"""Hold what a job counts as a batch's items to what can be counted."""

from __future__ import annotations

from bench.errors import BenchError, shown

MOST = 2**53
"""Up to here a float tells whole numbers apart."""


def check_items(found: object) -> None:
    """Raise `BenchError` for what is no whole number of 0 or more, in a tensor or not."""
    try:
        whole = float(found)  # type: ignore[arg-type]  # whatever a job gives
        good = whole.is_integer() and 0 <= whole < MOST and not isinstance(found, str | bytes)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        good = False
    if not good:
        raise BenchError(
            f"items gave {shown(str(found))[:40]}; it gives how many items a batch holds, a whole "
            "number"
        )
