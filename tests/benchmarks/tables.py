"""A recorded run as one small file: of each trial what a search's verdicts are made of, no more.

What is left out is what no verdict reads: all losses but the first, each step's own time, earlier
evaluations, the environment.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from statistics import median
from typing import Any

from bench.analysis.quality import LEAST_STEPS
from bench.records.header import Header
from bench.records.measurement import Measurement, counting
from bench.records.run_folder import read_run

Records = tuple[Header, list[Measurement]]
PLAIN: dict[str, Any] = {
    "phase_seconds": {}, "inference": (), "surroundings": None, "flops_check": None,
    "flops_uncounted": (), "unknown": {}, "profile": None,
}  # fmt: skip


def write(run: Path, table: Path) -> None:
    """Write what a run recorded into a table, the same bytes of the same run."""
    header, trials, _ = read_run(run)
    plain = header.model_copy(update={
        "environment": {}, "command": (), "notices": (), "places": {}, "seal": None,
    })  # fmt: skip
    lines = [record.model_dump_json(exclude_defaults=True) for record in (
        plain, *(small(trial) for trial in counting(trials))
    )]  # fmt: skip
    table.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


def read(table: Path) -> Records:
    """Read a table."""
    first, *lines = gzip.decompress(table.read_bytes()).decode().split("\n")
    needed: dict[str, Any] = {"command": [], "environment": {}}
    header = Header.model_validate_json(json.dumps({**needed, **json.loads(first)}))
    return header, [Measurement.model_validate_json(line) for line in lines]


def small(trial: Measurement) -> Measurement:
    """Return a trial whose steps all took the usual time, in whose sum nothing changes."""
    usual = median(trial.step_seconds) if trial.step_seconds else 0.0
    changes = {
        "step_seconds": (usual,) * len(trial.step_seconds),
        "losses": trial.losses[:LEAST_STEPS],
        "metrics": trial.metrics[-1:],
    }
    return trial.model_copy(update={**PLAIN, **changes})
