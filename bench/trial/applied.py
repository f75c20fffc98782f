"""Apply techniques in this process, and make no step: the quick half of a rehearsal."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime

import torch

from bench.recipes import assembly
from bench.records.measurement import Ending, Measurement, Status
from bench.trial.measure import failure_of
from bench.trial.rehearsal import attributed, shortened
from bench.trial.spec import TrialSpec


def applied(trial: TrialSpec) -> Measurement:
    """Build a trial's job and let it go; return how that ended. What it prints is not shown."""
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    status, reason, threads = Status.OK, None, torch.get_num_threads()
    torch.set_num_threads(trial.threads)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            _build(trial)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a failure is an answer too
            status, reason = failure_of(error)
        finally:
            torch.set_num_threads(threads)
    return Measurement.of(trial.identity, Ending(status=status, reason=reason, started=started))


def _build(trial: TrialSpec) -> None:
    techniques = assembly.techniques_of(trial.recipe, trial.places)
    device = torch.device(trial.device)
    with attributed(techniques, "it can't be applied"):
        assembly.build(trial.recipe, trial.places, device, trial.seed, others=shortened)
