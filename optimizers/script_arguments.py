"""Script arguments: start a script with other arguments of its own.

What:    what stands in `add` follows the script's arguments, of which the last counts in most
         parsers: another batch size, rate, model or schedule. `bench script --vary` makes an arm of
         each line that it is given.
Helps:   whatever the script's author has made adjustable.
Hurts:   whatever these arguments change: the metric of whole trainings judges them.
Effect:  learning.
Source:  the script's own --help.
"""

from __future__ import annotations

import shlex
from typing import ClassVar

from pydantic import Field

from bench.errors import NotApplicable
from bench.interception.script import Script
from bench.interception.writing import Writing
from bench.technique import Effect, Probe, SettingsT, Stage, Technique


class ScriptArguments(Technique):
    """Add to the script's arguments."""

    name: ClassVar[str] = "script-arguments"
    stage: ClassVar[Stage] = Stage.DATA
    effect: ClassVar[Effect] = Effect.LEARNING

    add: str = Field("", description="arguments, written as in a shell")

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Let them follow the setting `arguments`."""
        given: tuple[str, ...] | None = getattr(settings, "arguments", None)
        if given is None:
            raise NotApplicable("only a script that bench script runs has arguments to vary")
        more = tuple(shlex.split(self.add))
        if not more:
            raise NotApplicable("no argument is added: give add='--lr 1e-3', or --vary")
        return settings.model_copy(update={"arguments": (*given, *more)})

    def intercept(self, script: Script) -> None:
        """Leave the script as it is: its arguments are changed already."""

    def write(self, script: Writing) -> None:
        """Write nothing: the arguments are given when it is started."""
