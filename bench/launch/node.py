"""Do a task on a node: check that it is the run's place, measure, tell what came of it.

``python -m bench.launch.node`` reads a task from standard input and writes the answer to standard
output. It ends, with its trials, when its standard input does: when what started it is gone.
"""

from __future__ import annotations

import os
import platform
import socket
import tempfile
import threading
from importlib import metadata
from pathlib import Path

import psutil

from bench.errors import BenchError
from bench.launch.local import Runner
from bench.launch.task import Answer, Task
from bench.launch.temporary import mark, sweep
from bench.machine import environment
from bench.machine.device import choose_device
from bench.recipes import own_packages
from bench.records.failures import LOG, MOST_BYTES
from bench.records.node import Node
from bench.trial.spec import Outcome, TrialSpec

PREFIX = "bench-node-"
INPUT, OUTPUT, ERRORS = 0, 1, 2
DATA_DIR = "data_dir"
"""What baselines call the setting that names their data's folder."""


def main() -> None:
    """Do the task on standard input."""
    answers = os.dup(OUTPUT)
    os.dup2(ERRORS, OUTPUT)  # whatever else is printed is no answer
    with os.fdopen(os.dup(INPUT), encoding="utf-8") as asked:
        task = Task.model_validate_json(asked.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    own_packages.put_first()
    answer = answer_to(task)
    with os.fdopen(answers, "w", encoding="utf-8") as out:
        out.write(answer.model_dump_json())


def _end_with_input() -> None:
    while os.read(INPUT, 1):
        pass
    os._exit(1)  # the trial's lifeline ends with it


def answer_to(task: Task) -> Answer:
    """Measure a block's trials one after the other; a place that is not the run's says so."""
    here = this_node(task.node)
    try:
        check(task, here)
        with tempfile.TemporaryDirectory(prefix=PREFIX) as scratch:
            mark(Path(scratch))
            sweep(Path(scratch).parent, f"{PREFIX}*")  # of those that were killed
            return _measured(task, here, Path(scratch))
    except BenchError as error:
        return Answer(refused=f"node {here.name}: {error}")


def _measured(task: Task, here: Node, scratch: Path) -> Answer:
    outcomes: list[Outcome] = []
    logs: dict[str, str] = {}
    with Runner(task.preload, task.timeout_seconds) as runner:
        for trial in task.trials:
            outcome = runner.run(trial.model_copy(update={"scratch": str(scratch)}))
            outcomes.append(_placed(outcome, here))
            log = scratch / LOG
            if not outcome.measurement.ok and log.is_file():
                logs[trial.arm] = log.read_bytes()[-MOST_BYTES:].decode(errors="replace")
    return Answer(outcomes=tuple(outcomes), logs=logs)


def _placed(outcome: Outcome, here: Node) -> Outcome:
    """Return an outcome that says where it comes from; a refusal names the node."""
    changes: dict[str, object] = {"node": here}
    if outcome.refused:
        changes["reason"] = f"on node {here.name}: {outcome.measurement.reason}"
    measured = outcome.measurement.model_copy(update=changes)
    return outcome.model_copy(update={"measurement": measured})


def this_node(name: str | None = None) -> Node:
    """Describe this machine, by the name that its scheduler gives it."""
    host = socket.gethostname()
    return Node(
        name=name or os.environ.get("SLURMD_NODENAME") or host,
        host=host,
        cpu=environment.cpu_name(),
        cores=environment.usable_cores(),
        memory_bytes=psutil.virtual_memory().total,
        gpus=tuple(str(gpu["name"]) for gpu in environment.gpus()),
        **versions(),
    )


def versions() -> dict[str, str | None]:
    """Return what must be of the same version wherever a run measures."""
    return {"python": platform.python_version(), "torch": metadata.version("torch")}


def check(task: Task, here: Node) -> None:
    """Go to the run's folder; raise `BenchError` for what differs here from what the run needs."""
    for name, asked in task.versions.items():
        if (found := versions()[name]) != asked:
            raise BenchError(f"{name} is {found}, the run was started with {asked}")
    if own_packages.digest() != task.code_sha256:
        raise BenchError(
            f"{own_packages.HOME} holds other code of trainpairs than the run was started with: "
            "install the same there"
        )
    try:
        os.chdir(task.folder)
    except OSError as error:
        raise BenchError(
            f"{task.folder}, where the run was started, can't be entered ({error.strerror}): "
            "start it in a folder that all nodes share"
        ) from None
    for trial in task.trials:
        _check_trial(trial, here)


def _check_trial(trial: TrialSpec, here: Node) -> None:
    choose_device(trial.device)
    if trial.threads > here.cores:
        raise BenchError(
            f"it has {here.cores} cores, a trial is to have {trial.threads} threads: give --threads"
        )
    data = trial.recipe.settings.get(DATA_DIR)
    if data and not Path(str(data)).exists():
        raise BenchError(f"there is no {data}, the run's data folder: share it, or copy it there")


if __name__ == "__main__":
    main()
