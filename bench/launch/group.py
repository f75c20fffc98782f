"""Measure a trial whose techniques train in several processes: each measures, one tells of all."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from bench.errors import NotApplicable, shown
from bench.launch import torchrun
from bench.launch.torchrun import ProcessEnded
from bench.machine.memory import kernel_kills
from bench.recipes import assembly
from bench.recipes.combination import group_size
from bench.records.measurement import Ending, Measurement, Status
from bench.trial import outcome
from bench.trial.ranks import together
from bench.trial.spec import Outcome, TrialSpec

FOLDER = "group"
SILENT_SECONDS = 30.0
"""How long processes wait for one that doesn't answer: all have the same work to do."""


def observe(trial: TrialSpec, requested: float) -> Outcome:
    """Measure a trial, in this process or, where its techniques ask for more, in a group."""
    from bench.trial import measure

    size = _size(trial)
    if size == 1:
        return measure.observe(trial, requested)
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        torchrun.check_machine(size, trial.device)
        return _observed(trial, requested, size, kernel_kills())
    except NotApplicable as reason:
        status, why = Status.NOT_APPLICABLE, str(reason)
    except _Failed as failed:
        status, why = failed.status, str(failed)
    ending = Ending(
        status=status, reason=shown(why), started=started, wall_seconds=monotonic() - requested
    )
    return Outcome(measurement=Measurement.of(trial.identity, ending), home=_home())


class _Failed(Exception):  # noqa: N818 - what became of a trial
    """A process was lost that left no measurement."""

    def __init__(self, status: Status, why: str) -> None:
        self.status = status
        super().__init__(why)


def _size(trial: TrialSpec) -> int:
    try:
        return group_size(assembly.techniques_of(trial.recipe, trial.places))
    except BaseException:  # noqa: BLE001 - one process meets it again, and records it
        return 1


def _observed(trial: TrialSpec, requested: float, size: int, kills: int | None) -> Outcome:
    """Measure in each process of a group; return what they tell together."""
    folder = Path(trial.scratch) / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    threads = torchrun.threads_of_each(size, trial.threads)
    own = trial.model_copy(update={"threads": threads, "inference": False})
    given = own.model_dump_json(), requested, str(folder)
    try:
        torchrun.together(size, trial.device, _measure, given, folder, SILENT_SECONDS, "fork")
    except ProcessEnded as ended:
        _print_others(folder, ended)
        return _lost(folder, ended, (kernel_kills() or 0) > (kills or 0))
    found = [_received(folder, rank) for rank in range(size)]
    outcomes = [one for one in found if one is not None]
    measured = together([one.measurement for one in outcomes])
    return outcomes[0].model_copy(update={"measurement": measured})


def _measure(text: str, requested: float, folder: str) -> None:
    """Measure in one process of a group, and leave its outcome; what failed ends all."""
    import torch

    from bench.trial import measure

    rank = torch.distributed.get_rank()
    found = measure.observe(TrialSpec.model_validate_json(text), requested)
    outcome.send(found, _path(Path(folder), rank))
    if not found.measurement.ok:
        torchrun.end_as_failed()


def _path(folder: Path, rank: int) -> Path:
    return folder / f"{rank}.json"


def _received(folder: Path, rank: int) -> Outcome | None:
    path = _path(folder, rank)
    return Outcome.model_validate_json(path.read_bytes()) if path.exists() else None


def _lost(folder: Path, ended: ProcessEnded, killed: bool) -> Outcome:
    """Say what became of a group by the process that ended first."""
    found = _received(folder, ended.rank)
    if found is None:
        if killed and ended.code == -9:
            raise _Failed(Status.OUT_OF_MEMORY, f"{ended}: the kernel did it for want of memory")
        raise _Failed(Status.FAILED, f"{ended}: {ended.said}" if ended.said else str(ended))
    if found.refused or found.measurement.status is Status.NOT_APPLICABLE:
        return found
    reason = f"process {ended.rank} of {ended.size}: {found.measurement.reason}"
    if "imed out" in reason:  # gloo says it in words alone
        reason = _silent(folder, ended) or reason
    measured = found.measurement.model_copy(update={"reason": reason})
    return found.model_copy(update={"measurement": measured})


def _silent(folder: Path, ended: ProcessEnded) -> str:
    """Say where the processes were for which the others have waited in vain."""
    others = [rank for rank in range(ended.size) if rank != ended.rank]
    places = {rank: place for rank in others if (place := torchrun.place_of(folder, rank))}
    return "; ".join(
        f"process {rank} of {ended.size} did not answer for {SILENT_SECONDS:g} s: it was in {place}"
        for rank, place in places.items()
        if "/torch/" not in place  # where it waits as well
    )


def _print_others(folder: Path, ended: ProcessEnded) -> None:
    """Let the trial's log tell where the others were, behind the traceback of the first."""
    print(ended, flush=True)
    for rank in range(ended.size):
        if told := torchrun.told_by(folder, rank):
            print(f"process {rank} of {ended.size} was ended here:\n{told}", flush=True)


def _home() -> str:
    import bench

    return str(Path(bench.__file__).parent)
