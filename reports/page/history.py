"""Runs over commits as one page: a chart for each series, its changes marked."""

from __future__ import annotations

from typing import NamedTuple

from bench.analysis.history import History, Series
from reports.charts.marks import dot, line
from reports.charts.plane import Axis, down, plane
from reports.charts.scale import (
    Scale,
    linear_scale,
    log_scale,
    plain,
    ratio_scale,
    ratio_ticks,
    signed,
    ticks,
)
from reports.formats import history as words
from reports.formats.history import Past
from reports.page.template import own, template
from reports.tables import Table, table

HEIGHT = 220
MOST_DATES = 6
RADIUS = 3.4


class Chart(NamedTuple):
    """A series: what it is of, its drawing, its runs as a table."""

    title: str
    drawn: str
    runs: Table | None


class Section(NamedTuple):
    """A history: what was trained and where, what changed, its charts."""

    title: str
    changes: list[str]
    charts: list[Chart]


def render(found: Past) -> str:
    """Return the histories as one HTML file, which needs no other file and no network."""
    return template("history.html.j2").render(
        sections=[_section(one) for one in found.histories],
        unread=[one.line for one in found.unread],
        style=own("report.css"),
        script=own("report.js"),
    )


def _section(found: History) -> Section:
    charts = [Chart(words.name(s), chart(s), _runs(s)) for s in found.series]
    return Section(words.title(found), words.changes(found), charts)


def chart(series: Series) -> str:
    """Return a series' chart: runs from left to right, the mean between two changes as a line."""
    points = series.points
    x = Axis(Scale(0.0, float(len(points))), _dates(series), "runs in order of time")
    y = _up(series)
    parts = [
        line(x.scale.at(c.at), "0%", x.scale.at(c.at), "100%", "limit") for c in series.changes
    ]
    parts += _means(series, x, y)
    for place, point in enumerate(points):
        across, (low, middle, high) = x.scale.at(place + 0.5), point.value
        if low is not None and high is not None:
            parts.append(line(across, down(y, low), across, down(y, high), "cross"))
        says = f"{point.run}, commit {point.commit or 'unknown'}: {words.value(series, middle)}"
        parts.append(dot(across, down(y, middle), RADIUS, "ran", says))
    return plane(x, y, "".join(parts), f"{words.name(series)}, over {len(points)} runs", HEIGHT)


def _means(series: Series, x: Axis, y: Axis) -> list[str]:
    if not series.changes:
        return []
    levels = [series.changes[0].before, *(change.after for change in series.changes)]
    ends = [0, *(change.at for change in series.changes), len(series.points)]
    return [
        line(x.scale.at(begin), down(y, level), x.scale.at(end), down(y, level), "front")
        for begin, end, level in zip(ends, ends[1:], levels, strict=False)
    ]


def _dates(series: Series) -> list[tuple[float, str]]:
    wide = -(-len(series.points) // MOST_DATES)
    return [
        (place + 0.5, f"{point.started:%m-%d}")
        for place, point in enumerate(series.points)
        if place % wide == 0
    ]


def _up(series: Series) -> Axis:
    middles = [point.value.middle for point in series.points]
    ends = [end for p in series.points for end in (p.value.low, p.value.high) if end is not None]
    if series.scale == "ratio":
        scale = ratio_scale(middles, ends)
        return Axis(scale, ratio_ticks(scale), series.what)
    if series.is_log:
        scale = log_scale(middles)
        return Axis(scale, ticks(scale, lambda value: words.value(series, value)), series.what)
    scale = linear_scale([*middles, *ends])
    return Axis(scale, ticks(scale, signed if series.scale == "difference" else plain), series.what)


def _runs(series: Series) -> Table | None:
    return table(
        ("run", "started", "commit", "value", "from", "to"),
        (
            (
                point.run, f"{point.started:%Y-%m-%d %H:%M}", point.commit or "unknown",
                *(words.value(series, end) if end is not None else "–"
                  for end in (point.value.middle, point.value.low, point.value.high)),
            )
            for point in series.points
        ),
    )  # fmt: skip
