"""Apply techniques in this process, and make no step: the quick half of a rehearsal."""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from typing import Any

import torch
from torch.optim import Optimizer

from bench.recipes import assembly
from bench.records.measurement import Ending, Measurement, Status
from bench.trial.failure import failure_of
from bench.trial.rehearsal import attributed, shortened
from bench.trial.spec import TrialSpec

COMPILER = "torch._inductor.compile_fx"


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
    """Do without torch's compiler and tracer, where the compiler was not imported yet.

    What makes no step compiles nothing, and they take seconds to import. ``torch.compile`` gives a
    model back as it is, and an optimizer takes its groups without what keeps the tracer out.
    """
    if COMPILER in sys.modules:
        yield
        return
    compile_, add = torch.compile, Optimizer.add_param_group
    torch.compile = _as_it_is
    Optimizer.add_param_group = inspect.unwrap(add)  # type: ignore[method-assign]  # for now
    try:
        yield
    finally:
        torch.compile = compile_
        Optimizer.add_param_group = add  # type: ignore[method-assign]  # what it was


def _as_it_is(model: Any = None, **options: Any) -> Any:
    """Stand for ``torch.compile``, which is a decorator too: without a model it returns one."""
    return _as_it_is if model is None else model
