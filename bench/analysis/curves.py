"""Learning curves: the mean over an arm's trainings and their range, by steps, seconds or items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.records.measurement import Evaluation, Measurement

POINTS = 60
"""Of a curve at most; of more steps each point is the mean of several."""
SHARE = 0.5
"""Of the trainings, so many must have come as far for their mean to be told."""

By = Literal["steps", "seconds", "items"]
Values = NDArray[np.float64]
Course = tuple[Values, Values]
"""Of one training: where it was, ascending, and what was found there."""


class Curve(NamedTuple):
    """Where trainings were, and of what was found there the least, the mean and the largest."""

    at: tuple[float, ...]
    low: tuple[float, ...]
    mean: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """How the whole trainings of an arm went."""

    arm: str
    trainings: int
    loss: dict[By, Curve]
    metric: dict[By, Curve]
    """Empty where it was not evaluated."""


def curves_of(arm: str, trials: Sequence[Measurement], metric: str) -> Curves | None:
    """Return the curves of an arm's whole trainings; None where none has a course to show."""
    full = [trial for trial in trials if trial.kind == "full"]
    losses = [_losses(trial) for trial in full]
    loss = {by: _curve([course[by] for course in losses]) for by in _BYS}
    found = {by: _curve([_metric(trial, by, metric) for trial in full]) for by in _BYS}
    if not any(loss.values()) and not any(found.values()):
        return None
    return Curves(
        arm,
        len(full),
        {by: curve for by, curve in loss.items() if curve},
        {by: curve for by, curve in found.items() if curve},
    )


_BYS: tuple[By, ...] = ("steps", "seconds", "items")


def _curve(courses: Sequence[Course]) -> Curve | None:
    """Return the mean of courses on a grid of their own, as far as half of them came."""
    known = [course for course in courses if len(course[0])]
    if not known:
        return None
    ends = sorted(float(at[-1]) for at, _ in known)
    start = min(float(at[0]) for at, _ in known)
    reach = ends[len(ends) - max(1, int(np.ceil(SHARE * len(ends))))]
    longest = max(len(at) for at, _ in known)
    grid = np.linspace(start, reach, min(POINTS, longest)) if longest > 1 else np.array([reach])
    rows = np.array([np.interp(grid, at, found, right=np.nan) for at, found in known])
    kept = np.isfinite(rows).any(0)
    rows, grid = rows[:, kept], grid[kept]
    parts = (grid, np.nanmin(rows, 0), np.nanmean(rows, 0), np.nanmax(rows, 0))
    return Curve(*(tuple(float(value) for value in part) for part in parts))


def _losses(trial: Measurement) -> dict[By, Course]:
    """Return the training loss, of many steps the mean of several; seconds end with known steps.

    Items are known at evaluations and at the end, and run evenly in between.
    """
    losses = np.asarray(trial.losses, float)
    if not len(losses):
        return dict.fromkeys(_BYS, (losses, losses))
    begins = np.linspace(0, len(losses), min(POINTS, len(losses)), endpoint=False).astype(int)
    ends = np.append(begins[1:], len(losses))
    means = np.add.reduceat(losses, begins) / (ends - begins)
    spent = np.cumsum((*trial.warmup_step_seconds, *trial.step_seconds))
    known = ends <= len(spent)
    return {
        "steps": (ends.astype(float), means),
        "seconds": (spent[ends[known] - 1], means[known]),
        "items": _by_items(trial, ends, means),
    }


def _by_items(trial: Measurement, steps: Values, found: Values) -> Course:
    """Return what was found after some steps by the items that these had trained on."""
    known = {e.step: e.items for e in trial.metrics if e.items is not None}
    if trial.items_seen is None:
        return found[:0], found[:0]
    known = {0: 0, **known, len(trial.losses): trial.items_seen}
    at = sorted(known)
    return np.interp(steps, at, [known[step] for step in at]), found


def _metric(trial: Measurement, by: By, metric: str) -> Course:
    place: dict[By, Callable[[Evaluation], float | None]] = {
        "steps": lambda e: e.step, "seconds": lambda e: e.train_seconds, "items": lambda e: e.items,
    }  # fmt: skip
    found = [(place[by](e), e.values[metric]) for e in trial.metrics if metric in e.values]
    known = [(float(at), value) for at, value in found if at is not None]
    return np.array([at for at, _ in known]), np.array([value for _, value in known])
