"""Techniques that do to their trial, and try to do to others, what no trial should."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

from torch.optim import Optimizer

from bench.job import Job
from bench.technique import Effect, Stage, Technique


class Hostile(Technique):
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.LEARNING

    def apply(self, job: Job) -> Job:
        return job.wrap("update", self._once, by=self.name)

    def act(self) -> None: ...

    def _once(self, old: Callable[[Optimizer], None]) -> Callable[[Optimizer], None]:
        left = [self.act]

        def update(optimizer: Optimizer) -> None:
            if left:
                left.pop()()
            old(optimizer)

        return update


class LeavesChild(Hostile):
    name: ClassVar[str] = "leaves-child"

    def act(self) -> None:
        subprocess.Popen(["sleep", "981"])


class LeavesSession(Hostile):
    name: ClassVar[str] = "leaves-session"

    def act(self) -> None:
        subprocess.Popen(["sleep", "982"], start_new_session=True)


class LeavesGrandchild(Hostile):
    name: ClassVar[str] = "leaves-grandchild"

    def act(self) -> None:
        subprocess.run(["sh", "-c", "setsid sleep 983 &"], check=True)


class Forks(Hostile):
    name: ClassVar[str] = "forks"

    def act(self) -> None:
        os.fork()  # the copy goes on training


class Garbage(Hostile):
    name: ClassVar[str] = "garbage"

    def act(self) -> None:
        for handle in range(3, 64):
            try:
                os.write(handle, b"\xff" * 100)
            except OSError:
                continue


class Exits(Hostile):
    name: ClassVar[str] = "exits"

    def act(self) -> None:
        sys.exit("bye")


class ExitsAtOnce(Hostile):
    name: ClassVar[str] = "exits-at-once"

    def act(self) -> None:
        os._exit(0)


class Closes(Hostile):
    name: ClassVar[str] = "closes"

    def act(self) -> None:
        sys.stdout.close()
        sys.stderr.close()
        os.closerange(1, 256)


class Moves(Hostile):
    name: ClassVar[str] = "moves"

    def act(self) -> None:
        os.chdir("/")
        os.environ.clear()


class TurnsClock(Hostile):
    name: ClassVar[str] = "turns-clock"

    def act(self) -> None:
        real: Any = time.perf_counter
        time.perf_counter = lambda: real() / 100


class TurnsCalendar(Hostile):
    name: ClassVar[str] = "turns-calendar"

    def act(self) -> None:
        real: Any = time.time
        time.time = lambda: real() - 1e9


class Odd(Hostile):
    name: ClassVar[str] = "odd"

    def act(self) -> None:
        raise ValueError("bad \udcff \x1b[31m name")
