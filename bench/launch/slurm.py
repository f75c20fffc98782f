"""Nodes of Slurm: a block is a job of its own that has a whole node, submitted by submitit.

Jobs outlive a run that is killed; when it goes on, it takes up those in its folder that the same
user has submitted there, and no others.

What a site asks of a job (partition, account, GPUs) is said to Slurm itself: SBATCH_PARTITION, ….
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import chain, count
from os.path import lexists
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from bench.data.cache import cache_folder
from bench.errors import BenchError
from bench.launch.nodes import Ended
from bench.launch.task import Lost, Task, answered

EXTRA = 'the nodes of Slurm need submitit: pip install "trainpairs[slurm]"'
FOLDER = "slurm"
NOTES = "submitted-jobs"
"""Where the user's cache notes the folders of jobs."""
SUBMITTED = "_submitted.pkl"
"""How submitit calls what it was asked, behind the job's number."""
RAISED = f"{Lost.__name__}: "
LOOK_SECONDS = 0.2
MARGIN_MINUTES = 10
"""Of a job's time limit, beside what its trials may take."""


class SlurmNodes:
    """So many jobs at once, at most."""

    def __init__(self, most: int | None, executor: Callable[[Path], Any] | None = None) -> None:
        """`executor` makes submitit's executor that writes to a folder: Slurm's, unless given."""
        if most is None:
            raise BenchError("--on slurm: say how many jobs at once, at most: slurm:8")
        try:
            submitit: Any = import_module("submitit")  # an extra, typed or not
        except ImportError:
            raise BenchError(EXTRA) from None
        if executor is None and shutil.which("sbatch") is None:
            raise BenchError("--on slurm: there is no sbatch here; start the run on a login node")
        self._executor = executor or submitit.SlurmExecutor
        self._failed = (submitit.core.utils.UncompletedJobError, Lost)
        self._size = most
        self._jobs: dict[str, Any] = {}

    @property
    def size(self) -> int:
        """Return how many jobs there may be at once."""
        return self._size

    def keep_in(self, folder: Path) -> None:
        """Keep submitit's files in a run's folder."""
        self._folder = folder / FOLDER

    def start(self, name: str, task: Task, avoid: frozenset[str]) -> bool:
        """Submit a task, or take its job up; Slurm itself avoids a node that is down."""
        if len(self._jobs) >= self._size:
            return False
        folder = _own_folder(self._folder, f"{name}-{_content(task)}")
        executor = self._executor(folder)
        self._jobs[name] = _known(executor, folder) or _submitted(executor, task)
        return True

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Wait so long for jobs to end; return those that did."""
        late = monotonic() + seconds
        while not (over := [name for name, job in self._jobs.items() if job.done()]):
            if monotonic() > late:
                return []
            sleep(LOOK_SECONDS)
        return [self._of(name) for name in over]

    def _of(self, name: str) -> Ended:
        job = self._jobs.pop(name)
        where = f"job {job.job_id}"
        try:
            return Ended(name, job.result(), node=where)
        except self._failed as error:
            return Ended(name, None, _how(error) or str(job.state), where)

    def close(self) -> None:
        """Cancel what runs."""
        for job in self._jobs.values():
            job.cancel(check=False)


def _how(error: Exception) -> str:
    """Return in one line how a job was lost: what it raised, or what submitit says first."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    _, mark, own = next((line for line in said if RAISED in line), "").partition(RAISED)
    return (own if mark else next(iter(said), ""))[:300]


def _content(task: Task) -> str:
    """Return a short hash of what a task measures."""
    same = [(t.arm, t.pair, t.seed, t.kind, t.stage, t.recipe.id) for t in task.trials]
    return hashlib.sha256(repr((same, task.code_sha256)).encode()).hexdigest()[:12]


def _own_folder(parent: Path, name: str) -> Path:
    """Return the folder of a task that this user has made, or make it.

    What lies in another one, of a run that somebody else has made or copied, is never taken up:
    submitit reads pickles, which run whatever code they hold.
    """
    parent.mkdir(parents=True, exist_ok=True)
    numbered = (parent / f"{name}-{number}" for number in count(2))
    folder = next(f for f in chain([parent / name], numbered) if _is_own(f) or not lexists(f))
    if not _is_own(folder):
        folder.mkdir(mode=0o700)
        _remember(folder)
    return folder


def _is_own(folder: Path) -> bool:
    try:
        return folder.is_dir() and _note_of(folder).exists()
    except (OSError, BenchError):
        return False


def _remember(folder: Path) -> None:
    """Note that the user has made a folder; where nothing can be kept, it is never taken up."""
    try:
        note = _note_of(folder)
        note.parent.mkdir(mode=0o700, exist_ok=True)
        note.touch()
    except (OSError, BenchError):
        return


def _note_of(folder: Path) -> Path:
    return cache_folder() / NOTES / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()


def _known(executor: Any, folder: Path) -> Any | None:
    """Return the job that was submitted in a folder; None: there is none."""
    found = sorted(folder.glob(f"*{SUBMITTED}"))
    if not found:
        return None
    return executor.job_class(folder=folder, job_id=found[-1].name.removesuffix(SUBMITTED))


def _submitted(executor: Any, task: Task) -> Any:
    minutes = math.ceil(len(task.trials) * task.timeout_seconds / 60) + MARGIN_MINUTES
    if executor.name() == FOLDER:
        executor.update_parameters(
            job_name="bench", nodes=1, exclusive=True, time=minutes,
            cpus_per_task=max(trial.threads for trial in task.trials),
        )  # fmt: skip
    else:
        executor.update_parameters(timeout_min=minutes)
    return executor.submit(answered, task.model_dump_json())
