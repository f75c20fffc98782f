"""A baseline that sleeps in two places, and a technique against each."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import torch
from pydantic import Field

from bench.job import Job
from bench.technique import Effect, Probe, Stage, Technique
from tests.cli.tiny_model import Tiny, TinySettings


class SleepySettings(TinySettings):
    pause: float = Field(0.02, ge=0)
    rest: float = Field(0.02, ge=0)


class Sleepy(Tiny):
    name = "sleepy"
    settings = SleepySettings

    def job(self, settings: Any, device: torch.device, seed: int) -> Job:
        def rested(old: Any) -> Any:
            def loss(model: Any, batch: Any) -> Any:
                time.sleep(settings.rest)
                return old(model, batch)

            return loss

        return super().job(settings, device, seed).wrap("loss", rested, by="sleepy")


class NoPause(Technique):
    name: ClassVar[str] = "no-pause"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.EXACT

    def configure(self, settings: Any, probe: Probe) -> Any:
        return settings.model_copy(update={"pause": 0.0})


class NoRest(Technique):
    name: ClassVar[str] = "no-rest"
    stage: ClassVar[Stage] = Stage.LOOP
    effect: ClassVar[Effect] = Effect.EXACT

    def configure(self, settings: Any, probe: Probe) -> Any:
        return settings.model_copy(update={"rest": 0.0})
