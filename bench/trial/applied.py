"""Apply techniques in this process, and make no step: the quick half of a rehearsal."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime

import torch

from bench.recipes import assembly
from bench.records.measurement import Ending, Measurement, Status
from bench.trial.failure import failure_of
from bench.trial.rehearsal import attributed, shortened
from bench.trial.spec import TrialSpec

COMPILER, DISABLED = "torch._inductor.compile_fx", "TORCHDYNAMO_DISABLE"


def applied(trial: TrialSpec) -> Measurement:
    """Build a trial's job and let it go; return how that ended. What it prints is not shown."""
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    status, reason, threads = Status.OK, None, torch.get_num_threads()
    torch.set_num_threads(trial.threads)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), _uncompiled():
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


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Let ``torch.compile`` give a model back as it is, where its compiler was not imported yet.

    What makes no step compiles nothing, and the compiler takes a second to import.
    """
    before = os.environ.get(DISABLED)
    if COMPILER not in sys.modules:
        os.environ[DISABLED] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(DISABLED, None)
        else:
            os.environ[DISABLED] = before
