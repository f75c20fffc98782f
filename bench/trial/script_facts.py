"""Facts about a script that was run: what its training took and gave, and what only advises."""

from __future__ import annotations

import math
from pathlib import Path

from bench.errors import Diverged
from bench.model.weights_file import file_bytes
from bench.records.counted_steps import ITEMS
from bench.records.measurement import Advice, Evaluation, Training
from bench.trial.facts import advised, parameters_of, timed
from bench.trial.script import ScriptRun
from bench.trial.spec import TrialSpec

UNCOUNTED = (
    "no DataLoader gives the batches of some step, and no model is called with a tensor that tells "
    "their size: steps are counted in their place"
)


def training_of(run: ScriptRun, trial: TrialSpec) -> Training:
    """Return what a script's training took and gave."""
    course, line = run.course, run.course.timeline
    if run.metric is not None and not math.isfinite(run.metric):
        raise Diverged(f"the metric is {run.metric} after training")
    told = {} if run.metric is None else {trial.metric: run.metric}
    found = timed(line)
    at_end = Evaluation(
        epoch=0, step=len(line.steps), train_seconds=line.seconds, values=told,
        items=found.items_seen,
    )  # fmt: skip
    away = {"evaluate": course.evaluate_seconds} if course.evaluate_seconds else {}
    return found.model_copy(
        update={
            "metric": run.metric,
            "metrics": (at_end,) if told else (),
            "losses": tuple(course.losses),
            "train_seconds": line.seconds,
            "phase_seconds": {**found.phase_seconds, **away},
        }
    )


def advice_of(run: ScriptRun, scratch: Path) -> Advice:
    """Return what is known of the trained models, beside what is judged."""
    models = run.script.models
    uncounted = {} if run.course.items_known else {ITEMS: UNCOUNTED}
    unknown = {**run.script.untold, **uncounted}
    known = Advice(parameters=parameters_of(models), unknown=unknown)
    if len(models) != 1:
        why = f"the script trains {len(models)} modules that it calls by themselves"
        return known.model_copy(update={"unknown": {**unknown, "model_bytes": why}})
    return advised(known, "model_bytes", lambda: Advice(model_bytes=file_bytes(models[0], scratch)))
