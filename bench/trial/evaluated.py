"""Hold what an evaluation gives to the target that a baseline is judged by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from bench.errors import BenchError, Diverged, shown
from bench.records.header import Bounds, is_beyond
from bench.records.measurement import Evaluation


def check_metric(found: Mapping[str, float], metric: str, bounds: Bounds | None = None) -> None:
    """Raise `BenchError` where an evaluation doesn't give what the baseline is judged by."""
    if not isinstance(found, Mapping):
        raise BenchError(f"evaluate gave {shown(found)[:40]}; it gives metrics by name, in a dict")
    for name, value in found.items():
        if not isinstance(name, str):
            raise BenchError(f"evaluate gave a metric called {shown(name)[:40]}; names are texts")
        if not _is_number(value):
            raise BenchError(f"evaluate gave {name}={shown(str(value))[:40]}, which is no number")
    if metric not in found:
        raise BenchError(f"evaluate gave {', '.join(found) or 'nothing'}; the target is {metric}")
    value = float(found[metric])
    if math.isfinite(value) and is_beyond(value, bounds):
        raise BenchError(
            f"evaluate gave {metric}={value:g}, beyond the bounds {bounds} of its target, by which "
            "margins are meant: mend one of the two"
        )


def check_evaluations(
    evaluations: Iterable[Evaluation], metric: str, bounds: Bounds | None
) -> None:
    """Raise `Diverged` where a training's metric was at some time none that it can be."""
    for found in evaluations:
        value = found.values.get(metric)
        if value is not None and is_beyond(value, bounds):
            raise Diverged(f"evaluate gave {metric}={value:g}, beyond its target's bounds {bounds}")


def _is_number(value: object) -> bool:
    try:
        math.isfinite(value)  # type: ignore[arg-type]  # whatever an evaluation gives
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return False
    return True
