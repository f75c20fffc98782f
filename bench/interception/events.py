"""What was seen of a training script, one after the other, each with the time on the clock."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import torch
from torch import Tensor

BROUGHT = 1000
"""Losses that stay on a GPU at most where nobody measures."""


class Kind(StrEnum):
    """What happened. What takes time has a beginning, and an end of the name of the whole."""

    DRAWING = "drawing"
    DRAW = "draw"
    """A DataLoader has given a batch of `number` items."""
    CALLING = "calling"
    """Of a model in evaluation mode its number is 1."""
    CALL = "call"
    """A trained model has been called with `number` items, for a gradient."""
    EVALUATING = "evaluating"
    EVALUATION = "evaluation"
    """A trained model has answered in evaluation mode, without gradients."""
    ASKED = "asked"
    """Any other has answered without gradients, or one in training mode: then its number is 1."""
    BACKING = "backing"
    BACKWARD = "backward"
    """The backward pass of loss number `number` is over; -1: of no single number."""
    STEPPING = "stepping"
    STEP = "step"
    """Optimizer number `number`, in order of their first steps, has changed its weights.

    Or it was left out: by a scaler, as gradients had overflowed.
    """


CODES = {Kind.BACKWARD: 0, Kind.STEPPING: 1, Kind.STEP: 2}
"""What tells which losses a step has."""


class Event(NamedTuple):
    """One thing that happened."""

    kind: Kind
    at: float
    """Seconds."""
    cpu: float
    """CPU seconds of the process, where they were read; else 0."""
    number: int


@dataclass
class Recorder:
    """Collects events; with `cuda`, times and losses are read from the GPU only at the end.

    Without it times are the host's, and losses are brought there, a thousand at once.
    """

    cuda: bool = False
    losses: list[float | Tensor] = field(default_factory=list)
    _seen: list[Any] = field(default_factory=list)
    """Four entries an event, side by side: a tuple of each would be one more object for the
    garbage collector to look at, and a training has many events."""
    _now: Callable[[], float | torch.cuda.Event] = time.perf_counter

    def __post_init__(self) -> None:
        """Choose the clock once: what is noted stands between the steps that are timed."""
        if self.cuda:
            self._now = _recorded

    def note(self, kind: Kind, number: int = 0, cpu: bool = False) -> None:
        """Note that something happened now; `cpu`: with the process's CPU time, a system call."""
        self._seen += (kind, self._now(), time.process_time() if cpu else 0.0, number)

    def note_loss(self, loss: Tensor | None) -> int:
        """Keep the value of a loss; return its number, -1 for what is no single number."""
        if loss is None or loss.numel() != 1:
            return -1
        self.losses.append(loss.detach().clone() if loss.is_cuda else loss.item())
        if not self.cuda and loss.is_cuda and len(self.losses) % BROUGHT == 0:
            self.losses[-BROUGHT:] = map(float, self.losses[-BROUGHT:])
        return len(self.losses) - 1

    def events(self) -> Iterator[Event]:
        """Yield all events, their times in seconds from the first one."""
        if not self._seen:
            return
        if self.cuda:
            torch.cuda.synchronize()
        seen, first = self._seen, self._seen[1]
        for kind, at, cpu, number in zip(*(seen[part::4] for part in range(4)), strict=True):
            yield Event(kind, _seconds(first, at), cpu, number)

    def values(self) -> list[float]:
        """Return the values of all losses."""
        return [float(loss) for loss in self.losses]


class LossRecorder(Recorder):
    """Keeps losses, and what tells which steps they are of, in 8 bytes an event; no times.

    It is for a training of any length that nobody measures, and can be iterated again and again.
    """

    def __post_init__(self) -> None:
        """Begin."""
        super().__post_init__()
        self._codes = array("q")

    def note(self, kind: Kind, number: int = 0, cpu: bool = False) -> None:
        """Note that a step began or ended, or a loss was followed backwards."""
        code = CODES.get(kind)
        if code is not None:
            self._codes.append(len(CODES) * number + code)

    def __iter__(self) -> Iterator[Event]:
        """Yield all events."""
        return self.events()

    def events(self) -> Iterator[Event]:
        """Yield what was kept, at no time."""
        kinds = tuple(CODES)
        for one in self._codes:
            number, code = divmod(one, len(kinds))
            yield Event(kinds[code], 0.0, 0.0, number)


def _recorded() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's
    event.record()
    return event


def _seconds(first: float | torch.cuda.Event, at: float | torch.cuda.Event) -> float:
    if isinstance(first, torch.cuda.Event) and isinstance(at, torch.cuda.Event):
        return float(first.elapsed_time(at)) / 1e3
    assert isinstance(first, float)
    assert isinstance(at, float)  # one clock takes all times
    return at - first
