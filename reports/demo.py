"""Draw what a trained model says of a few items, as people of their field look at them: a PNG.

matplotlib draws it; it is imported here alone, when a picture is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

Floats = NDArray[np.float32]
SHOWN_SECONDS = 10.0
"""Of a long signal: its beginning."""
MOST_CHANNELS = 24
FAINT = 0.1
"""Of the largest score: a change of so much, or the largest one, has the full colour."""
FEWEST_BARS, MOST_BARS = 4, 8
"""How many scores there is room for, at least, and how many are drawn, at most."""
WIDTH, HEIGHTS = 12.0, {"signals": 2.6, "image": 3.4, "sound": 3.4}
INK, GRID, RIGHT, WRONG, CHOSEN, OTHER = (
    "#1f2933", "#e6b8b8", "#2e7d32", "#c62828", "#1565c0", "#b0bec5",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Panel:
    """One item with its answer."""

    kind: Literal["signals", "image", "sound"]
    name: str
    values: Floats
    """As `bench.deployment.Picture` has them."""
    channels: tuple[str, ...]
    rate_hz: float | None
    unit: str
    rows: Floats
    """What the model saw ``(K, ...)``: of sound its spectrograms."""
    labels: tuple[str, ...]
    scores: Mapping[str, float]
    scores_are: str
    truth: tuple[str, ...] | None
    about: str
    """The label that the importance is of."""
    importance: Floats
    steps: int | None
    """How long a row is that the model saw, in time; None of an image."""


def draw(panels: Sequence[Panel], title: str, path: Path) -> None:
    """Write all panels, one below the other, to a PNG file."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise BenchError('pictures need matplotlib: pip install "trainpairs[demo]"') from None
    heights = [_height(panel) for panel in panels]
    figure = Figure((WIDTH, sum(heights) + 0.7), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    rows = figure.subfigures(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for place, panel in zip(rows, panels, strict=True):
        seen, said = place.subfigures(1, 2, width_ratios=(2.6, 1))
        {"signals": _signals, "image": _image, "sound": _sound}[panel.kind](seen, panel)
        _bars(said, panel)
    figure.savefig(path, format="png", facecolor="white")


def _height(panel: Panel) -> float:
    channels = min(len(panel.values), MOST_CHANNELS)
    return HEIGHTS[panel.kind] + (0.22 * channels if panel.kind == "signals" else 0.0)


def _signals(figure: Any, panel: Panel) -> None:
    """Draw channels one above the other, and behind them how much each moment carries."""
    axes = figure.subplots()
    values = panel.values[:MOST_CHANNELS]
    if panel.rate_hz:
        values = values[:, : int(SHOWN_SECONDS * panel.rate_hz)]
    moments = np.arange(values.shape[1]) / (panel.rate_hz or 1)
    apart = _spacing(values)
    places = -apart * np.arange(len(values))
    bottom, top = _ends(values, places, apart)
    _shade(axes, panel, bottom, top)
    for place, channel in zip(places, values, strict=True):
        middle = np.nanmedian(channel) if len(values) > 1 else 0.0
        axes.plot(moments, channel - middle + place, color=INK, linewidth=0.8)
    axes.set_xlim(0, moments[-1])
    axes.set_ylim(bottom, top)
    if len(values) > 1:
        names = panel.channels or tuple(map(str, range(1, len(values) + 1)))
        axes.set_yticks(places, names, fontsize=7)
    else:
        axes.tick_params(labelsize=7)
    if panel.unit == "mV":
        axes.set_xticks(np.arange(0, moments[-1] + 1e-6, 1.0))
        axes.set_xticks(np.arange(0, moments[-1] + 1e-6, 0.2), minor=True)
        axes.grid(True, which="both", axis="x", color=GRID, linewidth=0.4)
        _scale(axes, moments[-1], bottom)
    axes.set_xlabel(f"{_of_time(panel)}; {_key(panel)}", fontsize=7)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_title(_heading(panel), fontsize=9, loc="left", color=INK)


def _scale(axes: Any, end: float, bottom: float) -> None:
    """Draw how high a millivolt is, as the pulse at an electrocardiogram's edge is."""
    axes.plot([end * 0.985] * 2, [bottom, bottom + 1.0], color=INK, linewidth=2.5)
    axes.annotate("1 mV", (end * 0.98, bottom), (0, 3), textcoords="offset points", ha="right",
                  va="bottom", fontsize=7, color=INK)  # fmt: skip


def _of_time(panel: Panel) -> str:
    """Say what the axis of time shows, and what it doesn't."""
    rate, (channels, length) = panel.rate_hz or 1.0, panel.values.shape
    unit = "seconds" if panel.rate_hz else "step"
    said = [unit]
    if panel.rate_hz and length / rate > SHOWN_SECONDS:
        said.append(f"the first {SHOWN_SECONDS:g} of {length / rate:.3g}")
    if panel.steps and panel.steps < length:
        said.append(f"the model sees the first {panel.steps / rate:.3g}")
    if channels > MOST_CHANNELS:
        said.append(f"the first {MOST_CHANNELS} of {channels} channels")
    return ", ".join(said)


def _ends(values: Floats, places: Floats, apart: float) -> tuple[float, float]:
    """Return the bottom and top of the axes: of one channel its own values."""
    if len(values) > 1:
        return float(places[-1]) - apart, float(places[0]) + apart
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.1 * (high - low) or 1.0
    return low - margin, high + margin


def _spacing(values: Floats) -> float:
    spans = np.nanpercentile(values, 99.5, axis=1) - np.nanpercentile(values, 0.5, axis=1)
    return float(np.median(spans) * 1.3) or 1.0


def _shade(axes: Any, panel: Panel, bottom: float, top: float) -> None:
    """Shade what the model saw: it may be less than the signal, or more, filled up."""
    rate = panel.rate_hz or 1
    start, end = -0.5 / rate, ((panel.steps or panel.values.shape[1]) - 0.5) / rate
    axes.imshow(
        panel.importance[:1] / _strongest(panel), extent=(start, end, bottom, top), aspect="auto",
        cmap="RdBu_r", vmin=-1.6, vmax=1.6, interpolation="bilinear", zorder=0,
    )  # fmt: skip


def _image(figure: Any, panel: Panel) -> None:
    """Draw the image, and beside it the same with what the answer rests on."""
    plain, covered = figure.subplots(1, 2)
    for axes in (plain, covered):
        axes.imshow(panel.values, cmap="gray", vmin=0, vmax=1)
        axes.set_axis_off()
    high, wide = panel.values.shape[:2]
    covered.imshow(
        panel.importance[0] / _strongest(panel), extent=(0, wide, high, 0), cmap="RdBu_r",
        vmin=-1, vmax=1, alpha=0.45, interpolation="bilinear",
    )  # fmt: skip
    plain.set_title(_heading(panel), fontsize=9, loc="left", color=INK)
    seen = panel.rows.shape[-2:]
    plain.text(0, -0.02, f"as the model sees it, {seen[1]} x {seen[0]}", fontsize=7, color=INK,
               transform=plain.transAxes, va="top")  # fmt: skip
    covered.set_title(_key(panel), fontsize=8, color=INK)


def _sound(figure: Any, panel: Panel) -> None:
    """Draw the sound, and below it the spectrograms that the model saw of it."""
    wave, heat = figure.subplots(2, 1, height_ratios=(1, 1.7))
    seconds = np.arange(len(panel.values)) / (panel.rate_hz or 1)
    wave.plot(seconds, panel.values, color=INK, linewidth=0.4)
    wave.set_xlim(0, seconds[-1])
    wave.tick_params(labelsize=7)
    wave.set_xlabel("seconds", fontsize=7)
    wave.set_title(_heading(panel), fontsize=9, loc="left", color=INK)
    pictures = np.concatenate(list(panel.rows[:, 0]), 1)
    maps = np.concatenate(list(panel.importance), 1)
    extent = (0, len(panel.rows), 0, pictures.shape[0])
    heat.imshow(pictures, aspect="auto", origin="lower", cmap="gray", extent=extent)
    heat.imshow(
        maps / _strongest(panel), aspect="auto", origin="lower", cmap="RdBu_r", vmin=-1, vmax=1,
        alpha=0.4, extent=extent, interpolation="bilinear",
    )  # fmt: skip
    for edge in range(1, len(panel.rows)):
        heat.axvline(edge, color="white", linewidth=1)
    names = [f"stretch {number + 1}" for number in range(len(panel.rows))]
    heat.set_xticks(np.arange(len(panel.rows)) + 0.5, names)
    heat.tick_params(labelsize=7)
    heat.set_xlabel(_key(panel), fontsize=7)
    heat.set_ylabel("mel band", fontsize=7)


def _bars(figure: Any, panel: Panel) -> None:
    """Draw the scores, those decided for in blue, and what is true in bold letters."""
    axes = figure.subplots()
    truth = panel.truth or ()
    order = sorted(panel.scores, key=lambda name: -panel.scores[name])
    kept = [name for place, name in enumerate(order)
            if place < MOST_BARS or name in truth or name in panel.labels]  # fmt: skip
    colours = [CHOSEN if name in panel.labels else OTHER for name in kept]
    values = [panel.scores[name] for name in kept]
    places = np.arange(len(kept))
    axes.barh(places, values, color=colours, height=0.7)
    axes.set_yticks(places, kept, fontsize=8)
    for tick, name in zip(axes.get_yticklabels(), kept, strict=True):
        if name in truth:
            tick.set_fontweight("bold")
            tick.set_color(RIGHT if name in panel.labels else WRONG)
    for place, value in zip(places, values, strict=True):
        axes.annotate(f"{value:.2f}", (max(value, 0), place), (3, 0), textcoords="offset points",
                      va="center", fontsize=7)  # fmt: skip
    if min(values) >= 0 and max(values) <= 1:
        axes.set_xlim(0, 1.15)
    else:
        axes.margins(x=0.18)
        axes.axvline(0, color=INK, linewidth=0.6)
    axes.set_ylim(max(len(kept), FEWEST_BARS) - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_title(panel.scores_are, fontsize=7, color=INK, wrap=True)
    if len(order) > len(kept):
        axes.set_xlabel(f"not shown: {len(order) - len(kept)}, of lower scores", fontsize=7)


def _strongest(panel: Panel) -> float:
    """Return the change of the score that has the full colour: what hardly matters stays pale."""
    largest = max(map(abs, panel.scores.values()))
    return max(float(np.abs(panel.importance).max()), FAINT * largest) or 1.0


def _key(panel: Panel) -> str:
    """Say what the colours mean."""
    most = float(np.abs(panel.importance).max())
    return f"red speaks for {panel.about}, blue against it: by {most:.2g} at most"


def _heading(panel: Panel) -> str:
    said = f"{panel.name}: {', '.join(panel.labels) or 'no label'}"
    if panel.truth is None:
        return f"{said} (truth not known)"
    return f"{said} (true: {', '.join(panel.truth) or 'no label'})"
