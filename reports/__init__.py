"""Records in, text out: a run's report in every format, computed nowhere but in `bench.analysis`.

Nothing here imports torch. A report is a function of a run's files alone: equal files, equal bytes.
A new format is one module with a function from `Run` to text, and one line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bench.errors import BenchError
from reports.formats import series
from reports.formats.csv import render as as_csv
from reports.formats.html import render as as_html
from reports.formats.json import render as as_json
from reports.formats.junit import render as as_junit
from reports.formats.markdown import render as as_markdown
from reports.formats.pytest_benchmark import render as as_pytest_benchmark
from reports.formats.terminal import best_so_far, summary
from reports.pictures import write_pictures
from reports.run import Run, made, read
from reports.sentences import verdict
from reports.tensorboard import write_events

FORMATS: Mapping[str, Callable[[Run], str]] = MappingProxyType(
    {
        "md": as_markdown,
        "html": as_html,
        "json": as_json,
        "csv": as_csv,
        "junit": as_junit,
        "pytest-benchmark": as_pytest_benchmark,
        "benchmark-smaller": series.smaller_is_better,
        "benchmark-bigger": series.bigger_is_better,
        "bencher": series.bencher,
        "openmetrics": series.open_metrics,
    }
)

__all__ = [
    "FORMATS",
    "Run",
    "best_so_far",
    "made",
    "read",
    "render",
    "summary",
    "verdict",
    "write_events",
    "write_pictures",
]


def render(format: str, run: Run) -> str:
    """Return a run's report in a format of `FORMATS`; raise `BenchError` for any other."""
    if format not in FORMATS:
        raise BenchError(f'no report format "{format}"; there are: {", ".join(FORMATS)}')
    return FORMATS[format](run)
