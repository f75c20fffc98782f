"""What runs say one after the other: series of what can be compared, and where they changed.

Ratios to a run's own baseline are compared over all runs of one machine that train the same;
absolute figures only where the version of torch is the same too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from statistics import fmean
from types import MappingProxyType
from typing import Literal, NamedTuple

from bench.analysis.arm_settings import Settings, unlike_settings
from bench.analysis.change_points import LEAST, change_points
from bench.analysis.comparable import (
    torch_of,
    unlike_machines,
    unlike_torch,
    unlike_work,
)
from bench.analysis.figures import Figures
from bench.analysis.intervals import Interval
from bench.analysis.results import ArmResult, Comparison
from bench.records.header import Header
from bench.records.measurement import BASELINE
from bench.records.schema import plain_text

ALPHA = 0.05
"""The chance of a change in any of the series, where nothing changed; they share it out."""
Scale = Literal["ratio", "seconds", "bytes", "metric", "difference"]


class Told(NamedTuple):
    """What one run tells: what was asked, what was found, and its baseline in figures."""

    header: Header
    comparison: Comparison
    baseline: Figures | None
    data: str | None = None
    """The hash of what it trains on; None: it is not known."""
    settings: Mapping[str, Settings] = MappingProxyType({})
    """Of each arm's techniques."""


class Point(NamedTuple):
    """One run in a series; ends are None where they are not known."""

    run: str
    started: datetime
    commit: str | None
    value: Interval


class Change(NamedTuple):
    """Where a series changed: the place of the first run after it, and the means around it."""

    at: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over the runs in which it can be compared, in order of time."""

    arm: str
    what: str
    scale: Scale
    points: tuple[Point, ...]
    torch: str | None = None
    """The version that all of its runs had, where that matters."""
    changes: tuple[Change, ...] = ()

    @property
    def is_log(self) -> bool:
        """Tell whether its values are compared as factors."""
        return self.scale in ("ratio", "seconds", "bytes")


@dataclass(frozen=True, slots=True)
class History:
    """The runs of one baseline in one form on one machine, and their series."""

    latest: Header
    runs: int
    series: tuple[Series, ...]


def histories(told: Iterable[Told]) -> tuple[History, ...]:
    """Return a history for each machine and each thing trained, with the changes found in all.

    Runs of `bench ab` and `bench judge` have another baseline each time: they are left out.
    """
    whole = sorted((t for t in told if not t.header.revisions), key=_when)
    made = [
        History(group[-1].header, len(group), tuple(_series(group)))
        for group in _groups(whole, _same_kind)
    ]
    long = sum(len(series.points) >= LEAST for found in made for series in found.series)
    alpha = ALPHA / max(1, long)
    return tuple(
        replace(found, series=tuple(_with_changes(series, alpha) for series in found.series))
        for found in made
    )


def _when(told: Told) -> datetime:
    started = datetime.fromisoformat(told.header.started)
    return started if started.tzinfo else started.replace(tzinfo=UTC)


def _groups(told: Sequence[Told], alike: Callable[[Told, Told], bool]) -> list[list[Told]]:
    """Return runs in groups, each run with the first group whose latest run it is like."""
    groups: list[list[Told]] = []
    for one in told:
        home = next((g for g in groups if alike(g[-1], one)), None)
        if home is None:
            groups.append([one])
        else:
            home.append(one)
    return groups


def _same_kind(old: Told, new: Told) -> bool:
    machines = unlike_machines(old.header.environment, new.header.environment)
    work = unlike_work(old.header, new.header) is not None
    return not (work or machines) and old.data == new.data


def _series(told: Sequence[Told]) -> Iterator[Series]:
    """Yield the series of a group: absolute ones of the baseline, then the ratios of each arm."""
    for group in _groups(told, lambda old, new: not unlike_torch(old.header, new.header)):
        yield from _of_baseline(group)
    for arm in dict.fromkeys(result.arm for t in told for result in t.comparison.arms):
        yield from _of_arm(arm, told)


def _of_baseline(told: Sequence[Told]) -> Iterator[Series]:
    torch, metric = torch_of(told[-1].header), told[-1].header.metric
    absolute: tuple[tuple[str, Scale, Callable[[Figures], float | None]], ...] = (
        ("step time", "seconds", lambda f: f.step_seconds),
        ("training time", "seconds", lambda f: f.train_seconds),
        ("peak memory", "bytes", lambda f: f.memory.peak),
    )
    for what, scale, value in absolute:
        known = [(t, value(t.baseline)) for t in told if t.baseline is not None]
        points = tuple(_point(t, Interval(None, v, None)) for t, v in known if v)
        if points:
            yield Series(BASELINE, what, scale, points, torch)
    quality = tuple(_point(t, m) for t in told if (m := t.comparison.baseline_metric))
    if quality:
        yield Series(BASELINE, metric, "metric", quality, torch)


def _of_arm(arm: str, told: Sequence[Told]) -> Iterator[Series]:
    """Yield the series of an arm; with other settings of its techniques it is another one."""
    own = [t for t in told if any(result.arm == arm for result in t.comparison.arms)]
    alike = _groups(own, lambda old, new: not _unlike(arm, old, new))
    for group in alike:
        label = arm if len(alike) == 1 else f"{arm} ({_said(group[-1].settings.get(arm, {}))})"
        yield from _of_one(arm, label, group)


def _unlike(arm: str, old: Told, new: Told) -> list[str]:
    return unlike_settings(old.settings.get(arm, {}), new.settings.get(arm, {}))


def _said(settings: Settings) -> str:
    pairs = [(key, value) for own in settings.values() for key, value in own.items()]
    return ", ".join(f"{key}={plain_text(value)}" for key, value in pairs)


def _of_one(arm: str, label: str, told: Sequence[Told]) -> Iterator[Series]:
    kinds: dict[tuple[str, Scale], list[Point]] = {}
    for t in told:
        result = next((found for found in t.comparison.arms if found.arm == arm), None)
        if result is not None and result.pairs:
            for kind, value in _values(result, t.header.metric):
                kinds.setdefault(kind, []).append(_point(t, value))
    for (what, scale), points in kinds.items():
        yield Series(label, what, scale, tuple(points))


def _values(result: ArmResult, metric: str) -> Iterator[tuple[tuple[str, Scale], Interval]]:
    """Yield what an arm's result says; times of steps and of whole trainings are two things."""
    time = "time ratio (whole training)" if result.time_basis == "training" else "time ratio"
    if result.time_ratio:
        yield (time, "ratio"), result.time_ratio
    if result.memory_ratio:
        yield ("memory ratio", "ratio"), result.memory_ratio
    if result.metric_difference:
        yield (f"{metric} difference", "difference"), result.metric_difference


def _point(told: Told, value: Interval) -> Point:
    commit = told.header.environment.get("git_commit")
    return Point(told.header.run, _when(told), commit and str(commit), value)


def _with_changes(series: Series, alpha: float) -> Series:
    middles = [point.value.middle for point in series.points]
    if series.is_log and min(middles) <= 0:
        return series
    values = [math.log(v) for v in middles] if series.is_log else middles
    places = change_points(values, alpha)
    ends = (0, *places, len(values))
    means = [fmean(values[a:b]) for a, b in pairwise(ends)]
    shown = [math.exp(mean) for mean in means] if series.is_log else means
    changes = (Change(at, shown[n], shown[n + 1]) for n, at in enumerate(places))
    return replace(series, changes=tuple(changes))
