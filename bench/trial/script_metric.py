"""Read the metric of a whole training from what its script says: output, reports, or files."""

from __future__ import annotations

from pathlib import Path

from bench.errors import BenchError
from bench.interception.metric_files import Files, Told, told_in_files
from bench.interception.output import Reported, found_in


class Reading:
    """Remembers, before a script starts, which files of its folder are none of its own."""

    def __init__(self, metric: str | None, folder: Path) -> None:
        self._metric, self._folder = metric, folder
        self._told: Told | None = told_in_files(metric) if metric else None
        self._before: Files = self._told.found(folder) if self._told else {}

    def read(self, reported: Reported, log: Path) -> float | None:
        """Return the metric; raise `BenchError` where the script doesn't tell it."""
        if self._metric is None:
            return None
        if self._told is not None:
            return self._told.read(self._folder, self._before)
        if not self._metric.isidentifier():
            return found_in(log, self._metric)
        if self._metric in reported.values:
            return reported.values[self._metric]
        known = ", ".join(reported.values) or "nothing"
        raise BenchError(
            f"the script reported {known}, not {self._metric}: call "
            f"bench.report({self._metric}=...), or give --metric a pattern over its output"
        )
