"""MLflow: a run of bench is one of its runs, in the experiment of the baseline's name.

The store is what ``MLFLOW_TRACKING_URI`` names, else the folder ``mlruns``. Needs mlflow-skinny.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from reports.run import Run
from reports.trackers import facts

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALLOWING = "MLFLOW_ALLOW_FILE_STORE"
NAME = "bench.run"
"""The tag by which a run is found again."""
METRICS, PARAMETERS = 1000, 100
"""That one call takes."""
LONGEST = 500
"""Characters of a parameter that every version of the store takes."""


def log(run: Run) -> None:
    """Log a run; raise `BenchError` where the store refuses it."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    asked = os.environ.get("MLFLOW_TRACKING_URI")
    store = asked or (Path.cwd() / "mlruns").as_uri()
    try:
        with nullcontext() if asked else _allowing_files():
            _log(run, MlflowClient(tracking_uri=store))
    except (MlflowException, OSError) as error:
        raise BenchError(f"can't log to mlflow at {store}: {error}") from None


@contextmanager
def _allowing_files() -> Iterator[None]:
    """Let mlflow write plain files, which newer versions do only where that is asked for."""
    before = os.environ.get(ALLOWING)
    os.environ[ALLOWING] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[ALLOWING]
        else:
            os.environ[ALLOWING] = before


def _log(run: Run, client: MlflowClient) -> None:
    name, title = run.header.run, run.header.name
    known = client.get_experiment_by_name(title)
    home = known.experiment_id if known else client.create_experiment(title)
    for earlier in client.search_runs([home], f"tags.`{NAME}` = '{name}'"):
        client.delete_run(earlier.info.run_id)
    tags = {NAME: name, **facts.verdicts(run)}
    begun = round(1000 * facts.started(run).timestamp())
    own = client.create_run(home, begun, tags, name).info.run_id
    _write(run, client, own)
    client.set_terminated(own)


def _write(run: Run, client: MlflowClient, own: str) -> None:
    from mlflow.entities import Metric, Param

    found = [
        Metric(one.name, one.value, round(1000 * one.when.timestamp()), one.step or 0)
        for one in facts.figures(run)
    ]
    asked = [Param(key, value[:LONGEST]) for key, value in facts.parameters(run).items()]
    for begin in range(0, len(found), METRICS):
        client.log_batch(own, metrics=found[begin : begin + METRICS])
    for begin in range(0, len(asked), PARAMETERS):
        client.log_batch(own, params=asked[begin : begin + PARAMETERS])
    for path in facts.files(run):
        client.log_artifact(own, str(path))
