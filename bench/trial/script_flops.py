"""Count the FLOPs of a script's training step, in a rehearsal that nobody times to its end."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from bench.interception.script import REHEARSED_STEPS, Script
from bench.records.measurement import Advice
from bench.trial.flops import FlopCounter
from bench.trial.recomputation import around_recomputation

COMPILED = str(Path("torch", "_dynamo", "eval_frame.py"))
"""Where compiled functions are called from."""
TIMED = REHEARSED_STEPS - 1
"""Steps that are rehearsed before the one that is counted: they take as long as they take."""


class Counting:
    """Counts all that lies between two steps of the optimizer that stepped first."""

    def __init__(self, script: Script) -> None:
        self._counter: FlopCounter | None = None
        self._done = False
        self._thread = threading.get_ident()
        self._script = script
        script.on_step = self._stepped
        script.apart = self._apart
        script.throughout(self._ended)

    def _stepped(self, steps: int) -> None:
        if threading.get_ident() != self._thread or _is_within_compiled():
            return  # what counts is active in one thread, and is gone as a compiled call returns
        if self._counter is not None:
            self._done = True
            self._script.finish()
        elif steps == TIMED:
            self._counter = FlopCounter()
            self._counter.__enter__()  # type: ignore[no-untyped-call]  # torch's

    @contextmanager
    def _ended(self) -> Iterator[None]:
        """Stop counting when the script ends, wherever it does."""
        try:
            with around_recomputation(self._again):
                yield
        finally:
            if self._counter is not None:
                self._counter.__exit__(None, None, None)  # type: ignore[no-untyped-call]  # torch's

    def _again(self) -> AbstractContextManager[None]:
        """Leave out what the script's own checkpointing computes again."""
        return nullcontext() if self._counter is None else self._counter.apart()

    @contextmanager
    def _apart(self) -> Iterator[None]:
        """Leave out what is done inside: an evaluation is no part of a step."""
        counter = self._counter
        if counter is None:
            yield
            return
        kept = counter.total, counter.counted, counter.missed.copy()
        yield
        counter.total, counter.counted, counter.missed = kept

    def facts(self) -> Advice:
        """Return what was counted."""
        found = self._counter
        if found is None or not self._done:
            why = (
                f"the script makes no more than {TIMED} steps, and the next one is counted, in its "
                "own thread and outside of compiled functions"
            )
            return Advice(unknown={"model_flops_per_step": why})
        return Advice(
            model_flops_per_step=found.total,
            flops_coverage=found.coverage,
            flops_uncounted=tuple(sorted(found.missed)),
            unknown={"forward_flops_per_item": "a script's model is given no sample"},
        )


def _is_within_compiled() -> bool:
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_filename.endswith(COMPILED):
            return True
    return False
