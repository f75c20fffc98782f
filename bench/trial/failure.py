"""What an exception makes of a trial: how it ended, and why."""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path

from bench.errors import BenchError, Diverged, NotApplicable, reason_of, shown
from bench.machine.memory import is_out_of_memory
from bench.recipes.loading import frame_of
from bench.records.measurement import Status


class ScriptFailed(Exception):  # noqa: N818 - what became of a trial
    """The script's own code raised, or ended with another code than 0."""


class Untimed(Exception):  # noqa: N818 - what became of a trial
    """The clock that measured was turned meanwhile."""


def failure_of(error: BaseException) -> tuple[Status, str]:
    """Return what an exception makes of a trial, and why; the whole of it goes to the log."""
    if isinstance(error, NotApplicable):
        return Status.NOT_APPLICABLE, shown(error)
    with contextlib.suppress(Exception):  # its text, or the log that it goes to, may be broken too
        traceback.print_exception(error)
    match error:
        case Diverged():
            return Status.DIVERGED, shown(error)
        case BenchError() | Untimed() | ScriptFailed():
            return Status.FAILED, shown(error)
    reason = reason_of(error)
    if is_out_of_memory(error):
        return Status.OUT_OF_MEMORY, reason
    places = traceback.extract_tb(error.__traceback__)
    place = frame_of(error) or (places[-1] if places else None)
    where = f" ({Path(place.filename).name}, line {place.lineno})" if place else ""
    return Status.FAILED, shown(reason + where)
