"""TensorBoard event files of full trials, written from a run's records, after each was measured.

Needs the package tensorboard, and not TensorFlow. Equal records give equal files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

from bench.records.measurement import Measurement
from reports.run import Run

FILE = "events.out.tfevents.trial"
PARTIAL = "partial"
VERSION = "brain.Event:2"
LOSS, METRIC = "loss", "metrics"
"""Tags: the training loss of each step, and each metric of each evaluation."""


def write_events(run: Run, folder: Path) -> None:
    """Write one folder for each full trial, ``ARM/pair-N-seed-S``; one that is there stays."""
    for trial in run.trials:
        if trial.ok and trial.kind == "full":
            arm = re.sub(r"[^\w.+#=,-]+|^\.+", "_", trial.arm)
            own = folder / arm / f"pair-{trial.pair}-seed-{trial.seed}"
            if not (own / FILE).exists():
                own.mkdir(parents=True, exist_ok=True)
                _write(trial, own / PARTIAL)
                (own / PARTIAL).rename(own / FILE)


def _write(trial: Measurement, path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    begun = datetime.fromisoformat(trial.started).timestamp()
    with path.open("wb") as file:
        records = RecordWriter(file)
        records.write(Event(wall_time=begun, file_version=VERSION).SerializeToString())
        for seconds, step, tag, value in sorted(_scalars(trial)):
            records.write(_event(begun + seconds, step, tag, value).SerializeToString())
        records.flush()


def _event(wall_time: float, step: int, tag: str, value: float) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    return Event(wall_time=wall_time, step=step, summary=summary)


def _scalars(trial: Measurement) -> Iterator[tuple[float, int, str, float]]:
    """Yield training seconds, step, tag and value of everything that has a course."""
    ends = accumulate((*trial.warmup_step_seconds, *trial.step_seconds))
    for step, (seconds, loss) in enumerate(zip(ends, trial.losses, strict=False), 1):
        yield seconds, step, LOSS, loss
    for evaluation in trial.metrics:
        for name, value in evaluation.values.items():
            yield evaluation.train_seconds, evaluation.step, f"{METRIC}/{name}", value
