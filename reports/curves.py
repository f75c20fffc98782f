"""Training curves of full trials as one picture, where matplotlib is there."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from bench.records.files import write_text
from bench.records.measurement import Measurement
from reports.run import CURVES, Run

SIZE = (9.0, 3.4)
"""Inches."""
POINTS = 200
"""Of a line at most; of more steps each point is the mean of several."""


def write_curves(run: Run, folder: Path) -> bool:
    """Write ``curves.svg``: training loss by step and, of several evaluations, the metric by epoch.

    Returns whether there is a picture: none where no full trial has a course to show, matplotlib is
    missing, or the folder is a link.
    """
    full = {arm: [t for t in run.of(arm) if t.kind == "full"] for arm in run.measured}
    shown = {arm: trials for arm, trials in full.items() if any(len(t.losses) > 1 for t in trials)}
    if not shown or find_spec("matplotlib") is None:
        return False
    if folder.is_symlink():
        return False  # it would be written elsewhere
    folder.mkdir(exist_ok=True)
    _draw(run, shown, folder / CURVES)
    return True


def _draw(run: Run, shown: dict[str, list[Measurement]], path: Path) -> None:
    # who has no home would be told, among the run's lines, where a cache is made instead
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none"}):
        several = any(len(t.metrics) > 1 for trials in shown.values() for t in trials)
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots(1, 1 + several, squeeze=False)[0]
        for number, (arm, trials) in enumerate(shown.items()):
            _losses(axes[0], trials, f"C{number}", arm)
            if several:
                _metric(axes[1], trials, f"C{number}", run.header.metric)
        axes[0].set(xlabel="step", ylabel="training loss")
        axes[0].legend(fontsize="small")
        if several:
            axes[1].set(xlabel="epoch", ylabel=run.header.metric)
        text = StringIO()
        FigureCanvasSVG(figure).print_figure(text, format="svg", metadata={"Date": None})
        write_text(path, text.getvalue())


def _losses(axis: Any, trials: list[Measurement], colour: str, arm: str) -> None:
    for number, trial in enumerate(trials):
        width = -(-len(trial.losses) // POINTS)
        parts = [trial.losses[k : k + width] for k in range(0, len(trial.losses), width)]
        ends = [min((k + 1) * width, len(trial.losses)) for k in range(len(parts))]
        means = [sum(part) / len(part) for part in parts]
        axis.plot(ends, means, colour, lw=0.8, alpha=0.7, label=None if number else arm)


def _metric(axis: Any, trials: list[Measurement], colour: str, metric: str) -> None:
    for trial in trials:
        found = [(e.epoch, e.values[metric]) for e in trial.metrics if metric in e.values]
        axis.plot(*zip(*found, strict=True), colour, lw=0.8, alpha=0.7, marker=".")
