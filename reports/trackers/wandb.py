"""Weights & Biases: a run of bench is one of its runs, in the project of the baseline's name.

Nothing is sent unless ``WANDB_MODE`` says so: a run is written into its own folder, from where
``wandb sync RUN/wandb/offline-run-*`` sends it.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from typing import Any

from bench.errors import BenchError
from reports.run import Run
from reports.trackers import facts


def log(run: Run) -> None:
    """Log a run; raise `BenchError` where that can't be done."""
    import wandb

    mode: Any = os.environ.get("WANDB_MODE", "offline")
    name, title = run.header.run, re.sub(r"[^\w.-]", "_", run.header.name)
    quiet = wandb.Settings(silent=True, console="off")
    try:
        with wandb.init(
            project=title, name=name, id=sha256(name.encode()).hexdigest()[:16], resume="allow",
            dir=str(run.path), config=facts.parameters(run), settings=quiet,
            mode=mode,
        ) as own:  # fmt: skip
            _write(run, own)
    except (wandb.Error, OSError) as error:
        raise BenchError(f"can't log to wandb: {error}") from None


def _write(run: Run, own: Any) -> None:
    import wandb

    steps: dict[int, dict[str, float]] = {}
    for one in facts.figures(run):
        if one.step is None:
            own.summary[one.name] = one.value
        else:
            steps.setdefault(one.step, {})[one.name] = one.value
    for step in sorted(steps):
        own.log(steps[step], step=step)
    own.summary.update(facts.verdicts(run))
    kept = wandb.Artifact("report", type="report")
    for path in facts.files(run):
        kept.add_file(str(path))
    own.log_artifact(kept)
