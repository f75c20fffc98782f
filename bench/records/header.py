"""What a run was asked to do: the content of ``run.json``."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from bench.records.audit import Experiment
from bench.records.claim import Claim
from bench.records.measurement import Purpose
from bench.records.ranges import Range
from bench.records.revisions import Revisions
from bench.records.schema import Amount, Count, Instant, Json, Number, Record, Text, Whole

Mode = Literal[
    "baseline-only", "test", "combine", "full-optimization", "recipe", "verify", "ab", "judge",
    "audit",
]  # fmt: skip
"""What a run can be asked to do."""
Positive = Annotated[Count, Field(ge=1)]


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] < bounds[1]:
        raise ValueError("the least value must come first, then a larger one")
    return bounds


Bounds = Annotated[tuple[Number, Number], AfterValidator(_in_order)]
ROUNDING = 1e-6
"""By how much a mean of shares may exceed 1: it was added up in single precision."""


def is_beyond(value: float, bounds: Bounds | None) -> bool:
    """Tell whether a metric is none that it can be, rounding aside."""
    if bounds is None:
        return False
    low, high = (ROUNDING * max(1.0, abs(bound)) for bound in bounds)
    return not bounds[0] - low <= value <= bounds[1] + high


class Arm(Record):
    """What one arm asks for, as typed: technique names with their settings, or a recipe's file."""

    techniques: tuple[Text, ...] = ()
    recipe_file: Text | None = None


class Header(Record):
    """The content of ``run.json``: all that is needed to do the run again or to go on with it."""

    format: Literal[1] = 1
    run: Text
    started: Instant
    mode: Mode
    name: Text
    """The baseline's own."""
    baseline: Text
    """As asked for: a name, or ``file.py:Class``."""
    files: dict[Text, Text] = {}
    """sha256 of each Python file of the user's that is run, by name; see `Recipe.files`."""
    places: dict[Text, Text] = {}
    """Where these lay when the run began."""
    settings: Json
    """The baseline's, whole and resolved."""
    arms: tuple[Arm, ...]
    device: Text
    threads: Positive
    seed: Whole
    repeats: Positive
    """The most pairs of an arm."""
    first: Positive | None = None
    """Pairs at the first look of a sequential run; None: a fixed test, of `repeats` pairs."""
    screening: tuple[Positive, Positive] | None = None
    """Pairs at the first and the last look of a screening, whose choice fresh pairs judge; None:
    every arm is judged by as many pairs as that takes."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """The error that the whole run is allowed in each of its statements."""
    raced: dict[Purpose, Count] = {}
    """How many arms share it, by stage; written before the stage's first trial."""
    blocks: dict[Purpose, Positive] = {}
    """How many arms share a trial of the baseline, by stage; 1 where that was not written."""
    order: dict[Purpose, tuple[Text, ...]] = {}
    """In which they share them, the most promising together, by stage; else in a random one."""
    objectives: tuple[Text, ...] = ()
    """In which a gain counts, by name; none: in any."""
    limits: dict[Text, Amount] = {}
    """What no arm may exceed, by objective."""
    times_baseline: dict[Text, Amount] = {}
    """The same, as multiples of what the baseline takes."""
    ranges: dict[Text, Range] = {}
    """What settings are searched over, by name: a technique's own as ``technique.setting``."""
    chosen_by: Text | None = None
    """The metric, of items held out of training, that they are chosen by; None: there is none."""
    budget_seconds: Amount | None
    trial_timeout_seconds: Amount
    margin: Amount
    margin_is_relative: bool = False
    """Whether it is a share of the baseline's metric."""
    margin_auto: bool = False
    """Whether it is fixed by the first rounds' trials of the baseline."""
    margin_wished: Amount | None = None
    """What it was before: a screening goes on choosing by what that and its own trials give."""
    margin_seeds: Count | None = None
    """By how many of its seeds that was done; None: it was not, and nothing is judged yet."""
    margin_why: Text | None = None
    """Which of what it is the largest of."""
    metric_direction: Literal["higher", "lower"] = "higher"
    """Which values of the metric are better."""
    unit: Text
    metric: Text
    target: Number | None
    metric_bounds: Bounds | None = None
    reuse: bool = False
    """Whether trials are taken from earlier runs beside this one."""
    on: Text | None = None
    """The scheduler whose nodes measure pairs (``ray``, ``slurm:8``); None: this machine does."""
    claim: Claim | None = None
    """What is verified."""
    revisions: Revisions | None = None
    """The two states of a user's own code that are compared; the baseline is the first."""
    seal: Text | None = None
    """The hash of all the rest, as bench wrote it; see `bench.records.seal`."""
    audit: Experiment | None = None
    """The published claims that are measured, and the arms that tell them."""
    command: tuple[Text, ...]
    notices: tuple[Text, ...] = ()
    environment: Json

    def is_over(self, stage: Purpose) -> bool:
        """Tell whether a later stage was begun: what this one chose stands."""
        stages = get_args(Purpose)
        return any(later in self.raced for later in stages[stages.index(stage) + 1 :])

    @property
    def resuming(self) -> str:
        """Return the command that goes on with the run, before its folder."""
        return "bench judge --resume" if self.mode == "judge" else "bench --resume"
