"""One line a trial with its raw facts, for spreadsheets and data frames. Unknown is empty."""

from __future__ import annotations

import csv
import io
import json
from statistics import median
from typing import Any

from bench.analysis.figures import slow_step_seconds
from bench.records.counted_steps import counts_steps
from bench.records.measurement import Measurement
from bench.records.recipe import Recipe
from bench.records.text import printable
from reports.run import Run

PLAIN = (
    "arm", "pair", "seed", "stage", "kind", "status", "reason", "effect", "work", "started",
    "device", "threads", "metric", "epochs", "planned_epochs", "items", "window_seconds",
    "train_seconds", "cpu_seconds", "wall_seconds", "startup_seconds", "build_seconds",
    "base_rss_bytes", "peak_rss_bytes", "end_anonymous_bytes", "end_file_bytes",
    "peak_allocated_bytes", "peak_reserved_bytes", "model_flops_per_step",
    "forward_flops_per_item", "flops_coverage", "model_bytes", "compiled", "load_average",
    "cpu_pressure", "energy_joules",
)  # fmt: skip
"""Fields of a measurement that are one value each, under their own names."""
FORMULA = tuple("=+-@|%＝＋－＠")
"""What a text that a spreadsheet computes begins with."""


def render(run: Run) -> str:
    """Return the trials as CSV with a line of titles."""
    phases = sorted({name for trial in run.trials for name in trial.phase_seconds})
    batches = sorted({i.items for trial in run.trials for i in trial.inference})
    metrics = sorted({name for t in run.trials for e in t.metrics[-1:] for name in e.values})
    rows = [
        {_cell(k): _cell(value) for k, value in _row(run, trial, phases, batches, metrics).items()}
        for trial in run.trials
    ]
    text = io.StringIO()
    titles = list(rows[0]) if rows else ["run", *PLAIN]
    writer = csv.DictWriter(text, titles, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Return a value that a spreadsheet shows and doesn't take for a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip()[:1] in FORMULA and text.strip() else text


def _row(
    run: Run, trial: Measurement, phases: list[str], batches: list[int], metrics: list[str]
) -> dict[str, Any]:
    facts = trial.model_dump(mode="json", include=set(PLAIN))
    last = trial.metrics[-1].values if trial.metrics else {}
    inference = {i.items: median(i.seconds) for i in trial.inference if i.seconds}
    return {
        "run": run.header.run,
        "baseline": run.header.name,
        "recipe_id": Recipe.model_validate(trial.recipe).id,
        **{name: facts[name] for name in PLAIN},
        "items": None if counts_steps(trial) else trial.items,
        "steps": len(trial.step_seconds),
        "warmup_steps": len(trial.warmup_step_seconds),
        "step_median_seconds": median(trial.step_seconds) if trial.step_seconds else None,
        "step_p95_seconds": slow_step_seconds(trial),
        "seconds_per_item": None if counts_steps(trial) else trial.seconds_per_item,
        "setup_seconds": trial.setup_seconds,
        "peak_memory_bytes": trial.peak_memory_bytes,
        "last_loss": trial.losses[-1] if trial.losses else None,
        "trainable_parameters": trial.parameters.trainable if trial.parameters else None,
        "frozen_parameters": trial.parameters.frozen if trial.parameters else None,
        "buffers": trial.parameters.buffers if trial.parameters else None,
        **{f"metric_{name}": last.get(name) for name in metrics},
        **{f"phase_{name}_seconds": trial.phase_seconds.get(name) for name in phases},
        **{f"inference_{items}_median_seconds": inference.get(items) for items in batches},
        "data_sha256": trial.data.sha256 if trial.data else None,
        "techniques": json.dumps(trial.recipe.get("techniques", []), ensure_ascii=False),
        "settings": json.dumps(trial.recipe.get("settings", {}), ensure_ascii=False),
    }
