"""Learning curves: the metric and the losses, by seconds, steps and items, of at most six arms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bench.analysis.curves import By, Curve, Curves, curves_of
from bench.records.measurement import BASELINE
from reports import formatting
from reports.charts.lines import lines
from reports.charts.plane import Axis
from reports.charts.scale import Scale, linear_scale, plain, ticks
from reports.run import Run

MOST = 6
"""Arms at once."""
MOST_OFFERED = 48
"""Arms whose curves are in a page at all: the first of the order of verdicts."""
TITLES: Mapping[By, str] = MappingProxyType(
    {"seconds": "seconds of training", "steps": "steps", "items": "items trained on"}
)
FAR = 1.5
"""Losses beyond so many times the baseline's largest are cut off."""
BYS: tuple[By, ...] = ("seconds", "steps", "items")


@dataclass(frozen=True, slots=True)
class Learning:
    """Charts by what is drawn and by what it is drawn against, and the arms to choose among."""

    metric: tuple[tuple[str, str], ...]
    loss: tuple[tuple[str, str], ...]
    arms: tuple[str, ...]
    chosen: tuple[str, ...]
    other_losses: tuple[str, ...]
    """Arms that change what is trained: their losses have no place beside the baseline's."""


def learning(run: Run) -> Learning | None:
    """Return the charts; None where no whole training has a course to show."""
    arms = run.measured[:MOST_OFFERED]
    found = [c for arm in arms if (c := curves_of(arm, run.of(arm), run.header.metric))]
    if not found:
        return None
    chosen = [curves.arm for curves in found][:MOST]
    alike = [curves for curves in found if _same_loss(run, curves.arm)]
    others = tuple(curves.arm for curves in found if not _same_loss(run, curves.arm))
    return Learning(
        _charts(run, found, lambda c: c.metric, chosen, run.header.metric),
        _charts(run, alike, lambda c: c.loss, chosen, "training loss"),
        tuple(curves.arm for curves in found), tuple(chosen), others,
    )  # fmt: skip


def _same_loss(run: Run, arm: str) -> bool:
    """Tell whether an arm trains by the baseline's own loss: the same work has the same loss."""
    result = run.result(arm)
    return arm == BASELINE or (result is not None and result.work == "same work")


def _charts(
    run: Run, found: Sequence[Curves], kind: Callable[[Curves], Mapping[By, Curve]],
    chosen: Sequence[str], title: str,
) -> tuple[tuple[str, str], ...]:  # fmt: skip
    charts = []
    for by in BYS:
        curves = {c.arm: kind(c)[by] for c in found if by in kind(c)}
        if not curves:
            continue
        target = run.header.target if title == run.header.metric else None
        said = f"{title} by {by}: the mean over trainings, within their range"
        x, y = _across(curves, by), _up(curves, title, target)
        charts.append((by, lines(x, y, curves, chosen, said, target)))
    return tuple(charts)


def _across(curves: Mapping[str, Curve], by: By) -> Axis:
    scale = Scale(0.0, max(curve.at[-1] for curve in curves.values()) * 1.02 or 1.0)
    show = formatting.seconds if by == "seconds" else formatting.count
    return Axis(scale, ticks(scale, lambda value: show(value) if value else "0"), TITLES[by])


def _up(curves: Mapping[str, Curve], title: str, target: float | None) -> Axis:
    values = [value for curve in curves.values() for value in (*curve.low, *curve.high)]
    own = curves.get(BASELINE)
    if own and target is None:
        most = max(abs(value) for value in own.high) * FAR
        values = [value for value in values if abs(value) <= most] or values
    scale = linear_scale([*values, *([] if target is None else [target])])
    return Axis(scale, ticks(scale, plain), title)
