"""What each technique of the combination adds, one after another, up to the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.analysis.intervals import Interval
from reports import formatting
from reports.charts.bars import step
from reports.charts.intervals import Panel, axis
from reports.charts.marks import drawing
from reports.charts.scale import ratio_scale, ratio_ticks
from reports.run import Run


@dataclass(frozen=True, slots=True)
class Step:
    """One technique, or the whole."""

    name: str
    text: str
    chart: str


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The steps, their axis, and what two techniques do to each other."""

    objective: str
    axis: str
    steps: tuple[Step, ...]
    interactions: tuple[tuple[str, str], ...]


def waterfall(run: Run) -> Waterfall | None:
    """Return the waterfall of the confirmed combination; None where nothing was attributed."""
    found = run.comparison.attribution
    if found is None:
        return None
    reached = [1.0]
    for one in found.contributions:
        reached.append(reached[-1] * one.ratio.middle)
    ends = [
        end * before
        for one, before in zip(found.contributions, reached, strict=False)
        for end in (one.ratio.low, one.ratio.high)
        if end is not None
    ]
    scale = ratio_scale(reached, ends)
    panel = Panel(scale, ratio_ticks(scale), 1.0)
    steps = [
        _step(panel, one.technique, one.ratio, before)
        for one, before in zip(found.contributions, reached, strict=False)
    ]
    together = f"together, in these trials: {found.arm}"
    steps.append(_step(panel, together, Interval(None, reached[-1], None), 1.0))
    both = tuple(
        (" with ".join(one.techniques), formatting.ratio_with_interval(one.ratio))
        for one in found.interactions
    )
    ticks = drawing([axis(panel)], 18, "cell")
    return Waterfall(found.objective, ticks, tuple(steps), both)


def _step(panel: Panel, name: str, ratio: Interval, before: float) -> Step:
    low, high = (None if end is None else end * before for end in (ratio.low, ratio.high))
    after = before * ratio.middle
    tone = "good" if math.log(ratio.middle) >= 0 else "bad"
    whole = ratio.low is None
    text = formatting.ratio(ratio.middle) if whole else formatting.ratio_with_interval(ratio)
    return Step(name, text, step(panel, before, after, low, high, tone))
