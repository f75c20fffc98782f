"""Time a training loop: stamps between phases, turned into seconds afterwards.

On the CPU a stamp is `time.perf_counter`; on CUDA it is an event on the current stream, read only
when the clock pauses, so nothing synchronises inside the measured window.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import torch

STEP_END = "step end"
WARMUP_STEPS = 5


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of one optimiser update, whole and by phase."""

    wall: float
    cpu: float
    items: int
    phases: dict[str, float]


@dataclass
class Timeline:
    """What a finished training took, in order."""

    steps: list[StepTime] = field(default_factory=list)
    between: list[tuple[int, str, float]] = field(default_factory=list)
    """Phases outside steps (schedule, stop, the end of an epoch), after so many steps."""

    @property
    def seconds(self) -> float:
        """Return the whole training's wall seconds."""
        return self.window_seconds(0)

    def window_seconds(self, first: int) -> float:
        """Return the wall seconds from step number `first` on."""
        outside = sum(seconds for after, _, seconds in self.between if after >= first)
        return sum(step.wall for step in self.steps[first:]) + outside

    def phase_seconds(self, first: int) -> dict[str, float]:
        """Return seconds by phase from step number `first` on."""
        total: defaultdict[str, float] = defaultdict(float)
        for step in self.steps[first:]:
            for phase, seconds in step.phases.items():
                total[phase] += seconds
        for after, phase, seconds in self.between:
            if after >= first:
                total[phase] += seconds
        return dict(total)

    @property
    def warmup(self) -> int:
        """Return how many first steps are warm-up: 5, or a quarter of a short training."""
        return min(WARMUP_STEPS, len(self.steps) // 4)


class Clock:
    """Collects stamps while it runs; `pause` turns them into a `Timeline`."""

    def __init__(self, device: torch.device) -> None:
        self.timeline = Timeline()
        self._cuda = device.type == "cuda"
        self._stamps: list[tuple[str, Any, float, int]] = []

    def resume(self) -> None:
        """Start counting from now."""
        self._settle()
        self._stamps = [("", self._now(), time.process_time(), 0)]

    def mark(self, phase: str) -> None:
        """End a phase."""
        self._stamps.append((phase, self._now(), 0.0, 0))

    def end_step(self, items: int) -> None:
        """End an optimiser update that trained on `items` items."""
        self._stamps.append((STEP_END, self._now(), time.process_time(), items))

    def pause(self, phase: str) -> None:
        """Stop counting; the time since the last step belongs to `phase`."""
        self.mark(phase)
        self._settle()
        self._digest()

    def _now(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's
        event.record()
        return event

    def _seconds(self, start: Any, end: Any) -> float:
        return float(start.elapsed_time(end)) / 1e3 if self._cuda else end - start

    def _settle(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()

    def _digest(self) -> None:
        (_, step_start, cpu_start, _), *rest = self._stamps
        last, phases = step_start, defaultdict[str, float](float)
        for name, stamp, cpu, items in rest:
            seconds = self._seconds(last, stamp)
            if name == STEP_END:
                phases["other"] += seconds
                wall = self._seconds(step_start, stamp)
                self.timeline.steps.append(StepTime(wall, cpu - cpu_start, items, dict(phases)))
                step_start, cpu_start, phases = stamp, cpu, defaultdict(float)
            else:
                phases[name] += seconds
            last = stamp
        for name, seconds in phases.items():
            self.timeline.between.append((len(self.timeline.steps), name, seconds))
        self._stamps = []
