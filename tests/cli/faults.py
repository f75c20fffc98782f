"""Techniques that make a trial go wrong, each in its own real way."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.job import Job
from bench.technique import Effect, Stage, Technique

Loss = Callable[..., Tensor]


class Fault(Technique):
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.ROUNDING

    def apply(self, job: Job) -> Job:
        return job.wrap("loss", self.spoil, by=self.name)

    def spoil(self, old: Loss) -> Loss:
        return old


class Harmless(Fault):
    name: ClassVar[str] = "harmless"


class Nan(Fault):
    name: ClassVar[str] = "nan"

    def spoil(self, old: Loss) -> Loss:
        return lambda model, batch: old(model, batch) * float("nan")


class Hang(Fault):
    name: ClassVar[str] = "hang"

    def spoil(self, old: Loss) -> Loss:
        def forever(model: Any, batch: Any) -> Tensor:
            time.sleep(3600)
            return old(model, batch)

        return forever


class Huge(Fault):
    name: ClassVar[str] = "huge"

    def spoil(self, old: Loss) -> Loss:
        def huge(model: Any, batch: Any) -> Tensor:
            pieces = [torch.empty(2**30) for _ in range(2**20)]  # 4 GiB each, 4 PiB in all
            return old(model, batch) + pieces[0][0]

        return huge


class Broken(Fault):
    name: ClassVar[str] = "broken"

    def spoil(self, old: Loss) -> Loss:
        def broken(model: Any, batch: Any) -> Tensor:
            raise ValueError("this technique is broken")

        return broken


class Slow(Fault):
    name: ClassVar[str] = "slow"

    def spoil(self, old: Loss) -> Loss:
        def slow(model: Any, batch: Any) -> Tensor:
            time.sleep(0.2)
            return old(model, batch)

        return slow


class Lingers(Fault):
    name: ClassVar[str] = "lingers"

    def spoil(self, old: Loss) -> Loss:
        started: list[subprocess.Popen[bytes]] = []

        def linger(model: Any, batch: Any) -> Tensor:
            if not started:
                started.append(subprocess.Popen(["sleep", "3599"], start_new_session=True))
            return old(model, batch)

        return linger
