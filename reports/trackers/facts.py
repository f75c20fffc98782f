"""What of a run is logged: its settings, every trial's figures, the ratios, the report's files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from bench.analysis.intervals import Interval
from bench.records.counted_steps import counts_steps
from bench.records.measurement import BASELINE, Measurement
from reports import formatting
from reports.run import Run
from reports.stored import machine

FILES = ("report.html", "report.md", "run.json", "trials.jsonl", "optimized.json")
"""Of a run's folder, those that are there."""


class Figure(NamedTuple):
    """One value at one time; of a trial its pair, of a whole run nothing, is its step."""

    name: str
    value: float
    when: datetime
    step: int | None = None


def parameters(run: Run) -> dict[str, str]:
    """Return what was asked for, by name."""
    header, environment = run.header, run.header.environment
    asked = {
        "baseline": header.baseline, "mode": header.mode, "device": header.device,
        "threads": header.threads, "seed": header.seed, "margin": header.margin,
        "machine": machine(environment), "git_commit": environment.get("git_commit"),
        "torch": (environment.get("packages") or {}).get("torch"),
    }  # fmt: skip
    settings = {f"settings.{key}": value for key, value in header.settings.items()}
    return {_plain(key): formatting.value(value) for key, value in {**asked, **settings}.items()}


def verdicts(run: Run) -> dict[str, str]:
    """Return what was found of each arm, in a word or two."""
    return {_plain(f"{result.arm}/verdict"): run.said_of(result) for result in run.candidates}


def figures(run: Run) -> Iterator[Figure]:
    """Yield the figures of every good trial, then what the whole run says of each arm."""
    for trial in run.judging:
        if trial.ok and trial.pair >= 0:
            yield from _of_trial(trial, run.header.metric)
    ended = max((_when(trial) for trial in run.trials), default=started(run))
    for name, value in _of_run(run):
        yield Figure(_plain(name), value, ended)


def files(run: Run) -> list[Path]:
    """Return the files of the run's folder that are kept with it."""
    return [path for name in FILES if (path := run.path / name).is_file()]


def started(run: Run) -> datetime:
    """Return when the run began."""
    return datetime.fromisoformat(run.header.started)


def _of_trial(trial: Measurement, metric: str) -> Iterator[Figure]:
    of = "step" if counts_steps(trial) else "item"
    known = {
        f"seconds_per_{of}": trial.seconds_per_item, "train_seconds": trial.train_seconds,
        "peak_memory_bytes": trial.peak_memory_bytes, metric: trial.metric,
    }  # fmt: skip
    for name, value in known.items():
        if value is not None:
            whole = _plain(f"{trial.arm}/{name}")
            yield Figure(whole, float(value), _when(trial), trial.pair)


def _of_run(run: Run) -> Iterator[tuple[str, float]]:
    metric = run.header.metric
    yield from _ends(f"{BASELINE}/mean {metric}", run.comparison.baseline_metric)
    for result in run.candidates:
        yield from _ends(f"{result.arm}/time_ratio", result.time_ratio)
        yield from _ends(f"{result.arm}/memory_ratio", result.memory_ratio)
        yield from _ends(f"{result.arm}/{metric}_difference", result.metric_difference)
        yield f"{result.arm}/pairs", float(result.pairs)


def _ends(name: str, interval: Interval | None) -> Iterator[tuple[str, float]]:
    if interval is not None:
        ends = zip(("_low", "", "_high"), interval, strict=True)
        yield from ((name + end, value) for end, value in ends if value is not None)


def _when(trial: Measurement) -> datetime:
    return datetime.fromisoformat(trial.started)


def _plain(name: str) -> str:
    """Return a name of the characters that every tracker takes."""
    return re.sub(r"[^\w/. -]", "_", name)
