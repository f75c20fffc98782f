"""Thread tuning: find the fastest number of CPU threads for this model on this machine.

What:    short step trials, each in a process of its own, with 1, 2, 4, ... threads up to the usable
         cores; the fastest becomes the setting `threads` of the recipe.
Helps:   models of small operators, where handing work to threads costs more than it saves; machines
         whose cores are shared or are halves of one core.
Hurts:   nothing in the training; the probes take a while (reported as the cost of searching). What
         is the fastest on one machine need not be on another.
Effect:  rounding.
Source:  PyTorch documentation, CPU threading and TorchScript inference.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from bench.errors import NotApplicable
from bench.interception.script import Script
from bench.interception.writing import Writing
from bench.machine.environment import usable_cores
from bench.technique import Effect, Probe, SettingsT, Stage, Technique

LEAST_GAIN = 1.02
"""Another number must be faster by so much: less can't be told from noise in one probe each."""


class ThreadTuning(Technique):
    """Set `threads` to the fastest number."""

    name: ClassVar[str] = "thread-tuning"
    stage: ClassVar[Stage] = Stage.MACHINE
    effect: ClassVar[Effect] = Effect.ROUNDING

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Probe as it is, then each other number; refuse where as it is, is the fastest."""
        if "threads" not in type(settings).model_fields:
            raise NotApplicable("the baseline's settings have no `threads`")
        cores = usable_cores()
        if cores == 1:
            raise NotApplicable("this machine has one usable core: there is nothing to choose")
        first = probe(settings)
        if first.seconds_per_item is None:
            raise NotApplicable(f"the baseline can't be timed as it is: {first.reason}")
        seconds = {first.threads: first.seconds_per_item}
        for count in (n for n in candidates(cores) if n != first.threads):
            found = probe(settings.model_copy(update={"threads": count}))
            if found.seconds_per_item is not None:
                _check_kept(count, found.threads)
                seconds[count] = found.seconds_per_item
        fastest = min(seconds, key=lambda count: seconds[count])
        if seconds[first.threads] < LEAST_GAIN * seconds[fastest]:
            tried = ", ".join(map(str, sorted(seconds)))
            raise NotApplicable(f"threads={first.threads}, as it is, is the fastest of {tried}")
        return settings.model_copy(update={"threads": fastest})

    def intercept(self, script: Script) -> None:
        """Leave the script as it is: it starts with the threads that were found, and keeps them."""
        given = torch.get_num_threads()

        def check() -> None:
            if script.rehearsed:
                _check_kept(given, torch.get_num_threads())

        script.at_end(check)

    def write(self, script: Writing) -> None:
        """Set the number of threads where the script begins."""
        threads = getattr(script.settings, "threads", None)
        script.at_start(f"import torch\ntorch.set_num_threads({threads})", by=self.name)


def _check_kept(given: int, found: int) -> None:
    """Raise `NotApplicable` where a training didn't run on the threads that it was given."""
    if found != given:
        raise NotApplicable(
            f"the training sets its number of threads itself ({found}, where it was given {given})"
        )


def candidates(cores: int) -> list[int]:
    """Return 1, 2, 4, ... below the cores, and the cores."""
    doubling = [2**power for power in range(cores.bit_length()) if 2**power < cores]
    return [*doubling, cores]
