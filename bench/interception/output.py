"""Find the metric in what a script writes, or is told by `bench.report`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import SupportsFloat

from bench.errors import BenchError


@dataclass
class Reported:
    """What a script has reported, the last value of each name."""

    values: dict[str, float] = field(default_factory=dict)

    def __call__(self, **metrics: SupportsFloat) -> None:
        """Take values, as `bench.report` does."""
        self.values |= {name: float(value) for name, value in metrics.items()}


def found_in(log: Path, pattern: str) -> float:
    """Return the last number in a log that a pattern's group matches.

    Raises `BenchError` where it never matches, or what it matches is no number.
    """
    text = log.read_bytes().decode("utf-8", errors="replace")
    found = re.findall(pattern, text)
    if not found:
        last = text.strip().splitlines()[-1:] or ["nothing"]
        raise BenchError(
            f"--metric '{pattern}' never matches what the script writes; its last line is: "
            f"{last[0][:120]}"
        )
    try:
        return float(found[-1])
    except ValueError:
        raise BenchError(
            f"--metric '{pattern}' matches {found[-1]!r}, which is no number"
        ) from None
