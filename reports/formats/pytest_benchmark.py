"""What ``pytest-benchmark compare`` reads: every arm as a benchmark, every good trial as a round.

Two groups, whose times are not to be compared: seconds per item in steady training, and seconds of
whole trainings. An arm's verdict, ratios, memory and quality, which are no times, are in its
``extra_info``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.errors import BenchError
from bench.records.measurement import BASELINE, Measurement
from reports.formats.json import as_text, content
from reports.run import Run

Seconds = Callable[[Measurement], float | None]


def render(run: Run) -> str:
    """Return the JSON of a saved run of pytest-benchmark; raise `BenchError` where it is missing.

    The statistics are made by the package itself.
    """
    try:
        from pytest_benchmark import __version__ as version
    except ImportError as error:
        raise BenchError(
            "--format pytest-benchmark needs that package: pip install pytest-benchmark"
        ) from error
    report = content(run)
    extra: dict[str, Mapping[str, Any]] = {
        BASELINE: {"figures": report["baseline_figures"], "metric": report["baseline_metric"]},
        **report["arms"],
    }
    commit = run.header.environment.get("git_commit") or "unversioned"
    groups: dict[str, Seconds] = {
        "a step" if run.counts_steps else "an item": lambda trial: trial.seconds_per_item,
        "a whole training": lambda trial: trial.train_seconds if trial.kind == "full" else None,
    }
    rounds = {
        (group, arm): [value for trial in run.of(arm) if (value := seconds(trial)) is not None]
        for group, seconds in groups.items()
        for arm in run.measured
    }
    found = {
        "machine_info": _machine(run.header.environment),
        "commit_info": {"id": commit.rstrip("+"), "dirty": commit.endswith("+")},
        "benchmarks": [
            _benchmark(run.title, group, arm, values, extra[arm])
            for (group, arm), values in rounds.items()
            if values
        ],
        "datetime": run.header.started,
        "version": version,
    }
    return as_text(found)


def _machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that the package's own reports name, beside all of ours."""
    brand, cores = environment.get("cpu"), environment.get("cores")
    return {
        **environment,
        "node": "",
        "machine": str(environment.get("system") or ""),
        "python_version": environment.get("python"),
        "cpu": {"brand": brand, "brand_raw": brand, "count": cores},
    }


def _benchmark(
    title: str, group: str, arm: str, values: list[float], extra: Mapping[str, Any]
) -> dict[str, Any]:
    from pytest_benchmark import stats

    made: Any = stats.Stats()  # type: ignore[no-untyped-call]  # the package's
    for value in values:
        made.update(value)
    return {
        "group": f"{title}: {group}",
        "name": f"{arm}: {group}",
        "fullname": f"{title}::{group}::{arm}",
        "params": None,
        "param": None,
        "extra_info": extra,
        "options": {},
        "stats": {**made.as_dict(), "data": values, "iterations": 1},
    }
