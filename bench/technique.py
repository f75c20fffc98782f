"""What a technique is: frozen settings and at most four methods."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, ClassVar, NoReturn, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from bench.errors import NotApplicable

if TYPE_CHECKING:
    from bench.interception.script import Script
    from bench.interception.writing import Writing
    from bench.job import Job
    from bench.records.measurement import Measurement
    from bench.records.plain_loop import PlainLoop

SettingsT = TypeVar("SettingsT", bound=BaseModel)
"""A baseline's settings: a technique returns the same kind, changed."""


class Effect(StrEnum):
    """What a technique does to the training, declared by it and checked by the contract tests."""

    EXACT = "exact"
    """The same losses, bit for bit."""
    ROUNDING = "rounding"
    """The same mathematics in other arithmetic."""
    LEARNING = "learning"
    """Another trajectory: judged by full trials."""
    MODEL = "model"
    """Another function at inference: judged by full trials, inference time and size."""


class Stage(IntEnum):
    """When a technique is applied: model surgery first, wrapping the compiled whole last."""

    DATA = 10
    MODEL = 20
    MEMORY = 30
    LOOP = 40
    SCHEDULE = 45
    """Follows how far training is, once it is known what an epoch holds."""
    PRECISION = 50
    COMPILE = 60
    DEPLOY = 62
    """Puts several models, or views, in the place of the one that is deployed."""
    MACHINE = 65
    """Probes how the machine runs what all the others have asked for."""
    GROUP = 68
    """Shares out among processes what all the others have made of a step."""
    SEARCH = 70
    """Probes the settings that all the others have asked for."""


class Part(StrEnum):
    """What a technique can make cheaper: a phase of a step, a kind of memory, what is deployed."""

    DATA_WAIT = "data_wait"
    FORWARD = "forward"
    BACKWARD = "backward"
    UPDATE = "update"
    """The phase, and the memory that it needs for a while."""
    SCHEDULE = "schedule"
    ACTIVATIONS = "activations"
    OPTIMIZER_STATE = "optimizer_state"
    DATA = "data"
    """What building the job keeps in memory beside the model."""
    INFERENCE = "inference"
    FILE = "file"


Parts = frozenset[Part]
PASSES = Parts({Part.FORWARD, Part.BACKWARD, Part.ACTIVATIONS})
"""The passes through the model and back, with what is kept between them."""


class Probe(Protocol):
    """A short step trial of the baseline in other settings, in a process of its own."""

    def __call__(self, settings: BaseModel, memory_limit_bytes: int | None = None) -> Measurement:
        """Measure once; the trial may not take more memory than the limit."""
        ...


class Technique(BaseModel):
    """One named change. A subclass is one file; its fields are its settings.

    Override `configure`, `apply` or both; `intercept` too, where a script can have it, and `write`,
    where lines in the script can have the same; `write_loop`, where lines of a plain training loop
    can. Raise `NotApplicable` with the reason where the
    technique can't do what it promises: never do something else instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    stage: ClassVar[Stage]
    effect: ClassVar[Effect]
    less_work: ClassVar[bool] = False
    """True where a gain comes from training less (fewer steps, smaller inputs)."""
    rounding: ClassVar[float] = 1e-4
    """Of a ROUNDING effect: how far, relatively, it may move the losses of the first steps."""
    touches: ClassVar[Parts | None] = None
    """All that it can make cheaper, at best free; None: anything. What is left of a training bounds
    its gain, and what can't gain enough is not raced: name too much rather than too little."""
    conflicts: ClassVar[frozenset[str]] = frozenset()
    """Names of techniques that can't be in one recipe with this one."""

    def caution(self, device: str) -> str | None:
        """Say what speaks against it on this machine, before it is measured; it forbids nothing."""
        return None

    def configure(self, settings: SettingsT, probe: Probe) -> SettingsT:
        """Return the baseline's settings as this technique wants them; called once per run."""
        return settings

    def group_size(self) -> int:
        """Return how many processes a trial with it takes; they are started together."""
        return 1

    def apply(self, job: Job) -> Job:
        """Return the job with parts replaced; called in every trial, before the clock starts."""
        return job

    def intercept(self, script: Script) -> None:
        """Say what is to be done with a script's models, optimizers and loaders, as they come.

        Called in every trial of a script that nobody rewrote, before it starts.
        """
        self.refuse_script()

    def write(self, script: Writing) -> None:
        """Say what is to be written into a script, for it to do what `intercept` does, for good.

        Called once, for `bench export-script`, after the script's first steps were seen.
        """
        raise NotApplicable(
            "it knows no lines for a script: bench train runs it as it was measured"
        )

    def write_loop(self, loop: PlainLoop, job: Job) -> None:
        """Say in lines of plain PyTorch what `apply` does to this job, for `bench export-script`.

        What only changes settings has none to say: they are written out as they are.
        """
        if type(self).apply is not Technique.apply:
            raise NotApplicable(
                "it knows no lines for a loop in plain PyTorch: bench train trains with it"
            )

    def refuse_script(self) -> NoReturn:
        """Raise `NotApplicable`: it can't be applied to what has no job."""
        raise NotApplicable(
            f"{self.name} changes parts of a job, and a script has none: describe the training as "
            "a baseline (bench init), or let --vary change the script's own arguments"
        )
